//! The commands, one to a module.

pub(crate) mod apis;
pub(crate) mod batch;
pub(crate) mod decode;
pub(crate) mod describe;
pub(crate) mod dump_log;
pub(crate) mod encode;
pub(crate) mod explain;
pub(crate) mod frame;
pub(crate) mod quickstart;
pub(crate) mod quorum;
pub(crate) mod records;
pub(crate) mod server;
pub(crate) mod storage;
pub(crate) mod tail_metadata;
pub(crate) mod verify_log;
