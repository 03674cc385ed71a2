//! The file `quorum-state`: what a node must not forget about elections.

use std::fmt;
use std::io;

use kwire_protocol::Uuid;
use serde::{Deserialize, Serialize};

use super::error::LogError;
use super::files::{Files, StdFiles};
use super::{names, small};
use crate::driver::StateStore;
use crate::types::{Epoch, NodeId, QuorumState, ReplicaKey};

/// The election state of a partition in Kafka's form, in the partition's directory.
///
/// It is replaced in one step: after a crash it is what was saved last, or what was saved before
/// that if saving was interrupted.
#[derive(Clone, Debug)]
pub struct FileStateStore<F: Files = StdFiles> {
    files: F,
}

impl<F: Files> FileStateStore<F> {
    /// The state in a directory.
    pub fn new(files: F) -> FileStateStore<F> {
        FileStateStore { files }
    }

    fn error(&self, kind: StateErrorKind) -> StateError {
        StateError {
            file: self.files.describe(names::QUORUM_STATE),
            kind,
        }
    }

    fn failed(&self, error: LogError) -> StateError {
        match error {
            LogError::Io { action, error, .. } => self.error(StateErrorKind::Io { action, error }),
            other => self.error(StateErrorKind::Malformed {
                reason: other.to_string(),
            }),
        }
    }
}

impl<F: Files> StateStore for FileStateStore<F> {
    type Error = StateError;

    fn load(&mut self) -> Result<Option<QuorumState>, StateError> {
        small::remove(&self.files, &names::temporary(names::QUORUM_STATE))
            .map_err(|error| self.failed(error))?;
        let text = small::read(&self.files, names::QUORUM_STATE);
        let Some(text) = text.map_err(|error| self.failed(error))? else {
            return Ok(None);
        };
        parse(&text).map(Some).map_err(|kind| self.error(kind))
    }

    fn save(
        &mut self,
        state: &QuorumState,
        kraft_version: i16,
        voters: &[NodeId],
    ) -> Result<(), StateError> {
        let text = if kraft_version == 0 {
            serde_json::to_string(&Form0::new(state, voters))
        } else {
            serde_json::to_string(&Form1::new(state))
        };
        let text = text.map_err(|error| {
            self.error(StateErrorKind::Malformed {
                reason: error.to_string(),
            })
        })?;
        small::replace(&self.files, names::QUORUM_STATE, &text, true)
            .map_err(|error| self.failed(error))
    }
}

/// The form of `kraft.version` 0, its fields in Kafka's order.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Form0 {
    cluster_id: String,
    leader_id: NodeId,
    leader_epoch: Epoch,
    voted_id: NodeId,
    applied_offset: i64,
    current_voters: Option<Vec<Voter>>,
    #[serde(rename = "data_version")]
    data_version: i16,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Voter {
    voter_id: NodeId,
}

/// The form of later versions.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Form1 {
    leader_id: NodeId,
    leader_epoch: Epoch,
    voted_id: NodeId,
    voted_directory_id: String,
    #[serde(rename = "data_version")]
    data_version: i16,
}

#[derive(Deserialize)]
struct Versioned {
    data_version: Option<i64>,
}

const NOBODY: NodeId = -1;

impl Form0 {
    fn new(state: &QuorumState, voters: &[NodeId]) -> Form0 {
        let voter = |&voter_id: &NodeId| Voter { voter_id };
        Form0 {
            cluster_id: String::new(),
            leader_id: state.leader.unwrap_or(NOBODY),
            leader_epoch: state.epoch,
            voted_id: state.voted.map_or(NOBODY, |voted| voted.id),
            applied_offset: 0,
            current_voters: Some(voters.iter().map(voter).collect()),
            data_version: 0,
        }
    }
}

impl Form1 {
    fn new(state: &QuorumState) -> Form1 {
        let directory = state
            .voted
            .map_or(Uuid::ZERO, ReplicaKey::wire_directory_id);
        Form1 {
            leader_id: state.leader.unwrap_or(NOBODY),
            leader_epoch: state.epoch,
            voted_id: state.voted.map_or(NOBODY, |voted| voted.id),
            voted_directory_id: directory.to_string(),
            data_version: 1,
        }
    }
}

fn parse(text: &str) -> Result<QuorumState, StateErrorKind> {
    // Kafka reads the first line and passes over the others.
    let line = text.lines().next().unwrap_or_default();
    let malformed = |reason: String| StateErrorKind::Malformed { reason };
    let json = |error: serde_json::Error| malformed(error.to_string());
    let versioned: Versioned = serde_json::from_str(line).map_err(json)?;
    let state = |leader, epoch: Epoch, voted: NodeId, directory| {
        if epoch < 0 {
            return Err(malformed(format!("epoch {epoch} is negative")));
        }
        Ok(QuorumState {
            epoch,
            leader: (leader >= 0).then_some(leader),
            voted: (voted >= 0).then(|| ReplicaKey::new(voted, directory)),
        })
    };
    match versioned.data_version {
        Some(0) => {
            let form: Form0 = serde_json::from_str(line).map_err(json)?;
            state(form.leader_id, form.leader_epoch, form.voted_id, Uuid::ZERO)
        }
        Some(1) => {
            let form: Form1 = serde_json::from_str(line).map_err(json)?;
            let directory = form.voted_directory_id.parse();
            let directory = directory.map_err(|_| {
                malformed(format!("{:?} is no directory id", form.voted_directory_id))
            })?;
            state(form.leader_id, form.leader_epoch, form.voted_id, directory)
        }
        Some(version) => Err(StateErrorKind::UnknownVersion(version)),
        None => Err(malformed("there is no data_version".to_owned())),
    }
}

/// An election state that cannot be read or written. A node that cannot tell whom it voted for must
/// not start.
#[derive(Debug)]
pub struct StateError {
    /// The file.
    pub file: String,
    /// What is wrong.
    pub kind: StateErrorKind,
}

/// What is wrong with an election state.
#[derive(Debug)]
#[non_exhaustive]
pub enum StateErrorKind {
    /// The system failed.
    Io {
        /// What was being done.
        action: &'static str,
        /// What the system says.
        error: io::Error,
    },
    /// The file is not what Kafka writes.
    Malformed {
        /// What is wrong with it.
        reason: String,
    },
    /// A `data_version` other than 0 and 1.
    UnknownVersion(i64),
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = &self.file;
        match &self.kind {
            StateErrorKind::Io { action, error } => write!(f, "cannot {action} {file}: {error}"),
            StateErrorKind::Malformed { reason } => write!(f, "{file}:1: {reason}"),
            StateErrorKind::UnknownVersion(version) => {
                write!(f, "{file}:1: data_version {version} is neither 0 nor 1")
            }
        }
    }
}

impl std::error::Error for StateError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            StateErrorKind::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::files::memory::MemoryFiles;

    const FORM_0: &str = r#"{"clusterId":"","leaderId":0,"leaderEpoch":1,"votedId":-1,"appliedOffset":0,"currentVoters":[{"voterId":0}],"data_version":0}"#;
    const FORM_1: &str = r#"{"leaderId":-1,"leaderEpoch":2,"votedId":1,"votedDirectoryId":"J8aAPcfLQt2bqs1JT_rMgQ","data_version":1}"#;

    fn store(text: &str) -> FileStateStore<MemoryFiles> {
        let files = MemoryFiles::new();
        files.put(names::QUORUM_STATE, text);
        FileStateStore::new(files)
    }

    #[test]
    fn what_kafka_wrote_comes_back_byte_for_byte() {
        for (text, kraft_version, voters) in [(FORM_0, 0, &[0][..]), (FORM_1, 1, &[])] {
            let mut store = store(text);
            let state = store.load().unwrap().unwrap();
            store
                .save(&QuorumState::default(), kraft_version, &[])
                .unwrap();
            store.save(&state, kraft_version, voters).unwrap();
            let bytes = store.files.bytes(names::QUORUM_STATE).unwrap();
            assert_eq!(String::from_utf8(bytes).unwrap(), text);
        }
    }

    #[test]
    fn values() {
        let voted = "J8aAPcfLQt2bqs1JT_rMgQ".parse().unwrap();
        let state = store(FORM_1).load().unwrap().unwrap();
        assert_eq!((state.epoch, state.leader), (2, None));
        assert_eq!(state.voted, Some(ReplicaKey::new(1, voted)));
        let state = store(FORM_0).load().unwrap().unwrap();
        assert_eq!((state.epoch, state.leader, state.voted), (1, Some(0), None));
        let mut none = FileStateStore::new(MemoryFiles::new());
        assert_eq!(none.load().unwrap(), None);
    }

    #[test]
    fn what_cannot_be_read_is_an_error_that_names_the_file() {
        for (text, reason) in [
            ("", "EOF"),
            ("{}", "no data_version"),
            ("{\"data_version\":2}", "data_version 2 is neither"),
            ("{\"data_version\":1}", "missing field"),
            (&FORM_1[..40], "EOF"),
            (&FORM_1.replace("_rMgQ", ""), "no directory id"),
            (&FORM_1.replace(":2,", ":-2,"), "negative"),
        ] {
            let error = store(text).load().unwrap_err().to_string();
            assert!(error.starts_with("quorum-state:1: "), "{error}");
            assert!(error.contains(reason), "{error}");
        }
    }

    /// KAFKA-15412: what a later release wrote is not taken for nothing, which would be a second
    /// vote. The node does not start, and the file stays.
    #[test]
    fn an_unknown_version_is_an_error_and_stays() {
        use crate::driver::{Disk, Driver, DriverError, MemoryLog};
        let later = FORM_1.replace("\"data_version\":1", "\"data_version\":2");
        let error = store(&later).load().unwrap_err();
        assert!(matches!(error.kind, StateErrorKind::UnknownVersion(2)));
        let state = store(&later);
        let files = state.files.clone();
        let config = crate::Config::new(Some(1), crate::types::Uuid::from_parts(1, 1));
        let now = crate::types::Instant(0);
        let started = Driver::new(now, config, Disk::Synchronous, MemoryLog::new(), state);
        assert!(matches!(started, Err(DriverError::State(_))));
        let bytes = files.bytes(names::QUORUM_STATE).unwrap();
        assert_eq!(bytes, later.as_bytes());
    }

    #[test]
    fn a_crash_leaves_the_old_state_or_the_new() {
        let states = [1, 2, 3].map(|epoch| QuorumState {
            epoch,
            leader: Some(4),
            voted: None,
        });
        for stop in 1.. {
            for seed in 0..20 {
                let files = MemoryFiles::new();
                let mut store = FileStateStore::new(files.clone());
                store.save(&states[0], 1, &[]).unwrap();
                files.stop_at(files.operations() + stop);
                let saved = states[1..].iter().filter(|s| store.save(s, 1, &[]).is_ok());
                let saved = saved.count();
                let left = FileStateStore::new(files.crash(seed)).load().unwrap();
                let index = states
                    .iter()
                    .position(|state| Some(*state) == left)
                    .unwrap();
                assert!(index == saved || index == saved + 1, "{index} of {saved}");
                if !files.has_stopped() || saved == 2 {
                    return;
                }
            }
        }
    }
}
