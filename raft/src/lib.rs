//! KRaft without I/O.

pub mod control;
pub mod driver;
pub mod log;
pub mod types;
pub mod voters;
