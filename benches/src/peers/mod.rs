//! The contestants of this process: what each does for each operation on a message.
//!
//! Each is used as its documentation recommends. Where that leaves two ways, both are entered
//! under one name, and the faster counts. Versions go through `black_box`, as they come from a
//! frame in real use. What a contestant encodes, it has made itself out of the case's bytes, and
//! the bytes that it writes are compared with the case's before anything is timed.

pub mod by_hand;
pub mod copy;
pub mod kacrab;
pub mod kafka_protocol;
pub mod krabka;
pub mod kwire;

/// Keeps a value until the process ends: several timings use it.
pub fn keep<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}
