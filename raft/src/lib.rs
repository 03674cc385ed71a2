//! KRaft, Kafka's Raft, without I/O: a node as a state machine, a log in Kafka's own format, and a
//! driver that joins the two.
//!
//! | module | what |
//! |---|---|
//! | [`node`] | a replica: elections, replication, snapshots, changes of the voters |
//! | [`driver`] | the executor of what a node asks for, stores in memory, and what an application hears |
//! | [`log`] | segments, indexes, snapshots, election state and `meta.properties` in Kafka's files |
//! | [`message`] | the requests and responses of raft nodes at all their versions |
//! | [`control`], [`voters`], [`membership`] | control records, voter sets, and which counts where |
//! | [`epochs`] | where each epoch starts |
//! | [`config`], [`types`] | settings; the small types |
//! | [`random`] | numbers that follow from a seed |
//! | [`mutation`] | rules that tests switch off |
//!
//! A voter that is alone leads at once, and what it appends is committed once its disk has it:
//!
//! ```
//! use kwire_raft::driver::{Disk, Driver, MemoryLog, MemoryState};
//! use kwire_raft::types::{Instant, ReplicaKey, Uuid};
//! use kwire_raft::voters::{Address, Endpoints, KRaftVersions, Voter};
//! use kwire_raft::Config;
//!
//! let directory = Uuid::from_parts(1, 2);
//! let endpoints = Endpoints::one("CONTROLLER", Address::new("localhost", 9093));
//! let voter = Voter {
//!     key: ReplicaKey::new(1, directory),
//!     endpoints: endpoints.clone(),
//!     kraft_versions: KRaftVersions::SUPPORTED,
//! };
//! let config = Config {
//!     static_voters: [voter].into_iter().collect(),
//!     endpoints,
//!     ..Config::new(Some(1), directory)
//! };
//! let now = Instant(0);
//! let (log, state) = (MemoryLog::new(), MemoryState::new());
//! let mut driver = Driver::new(now, config, Disk::Synchronous, log, state)?;
//! let epoch = driver.node().epoch();
//! let offset = driver.append(now, epoch, &[b"hello"])??;
//! driver.timeout(driver.poll_timeout())?;
//! assert!(driver.node().high_watermark() > Some(offset));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod config;
pub mod control;
pub mod driver;
pub mod epochs;
mod extension;
pub mod log;
pub mod membership;
pub mod message;
pub mod mutation;
pub mod node;
pub mod random;
pub mod types;
pub mod voters;

pub use config::Config;
pub use node::Node;
