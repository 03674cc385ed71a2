//! A raft node with sockets and files.
//!
//! Three kinds of threads: one runs the node ([`runner`]), one makes its disk durable, and those of
//! tokio speak with other nodes and with clients ([`listen`], [`peers`]). They talk through
//! channels only; nothing but the node's thread touches the node.

pub mod client;
pub mod clients;
pub mod config;
pub mod connection;
pub mod directory;
pub mod format;
pub mod frame;
pub mod groups;
pub mod listen;
pub mod machine;
pub mod peers;
pub mod producers;
pub mod record;
mod room;
pub mod runner;
pub mod serials;
pub mod server;
pub mod snapshots;
pub mod state;
pub mod verify;
pub mod workload;
