//! Every Kafka message, every version, byte for byte.

#[cfg(feature = "records")]
pub mod records;
