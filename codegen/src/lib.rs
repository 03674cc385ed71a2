//! Reads Kafka message schemas and writes versioned Rust structs.
