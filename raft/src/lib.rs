//! KRaft without I/O.

pub mod config;
pub mod control;
pub mod driver;
pub mod epochs;
pub mod log;
pub mod membership;
pub mod message;
pub mod mutation;
pub mod node;
pub mod types;
pub mod voters;

pub use config::Config;
pub use node::Node;
