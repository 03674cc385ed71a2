//! What `kwire server --status-ms` prints, for programs that watch it: lines of JSON.

use kwire_raft::node::RoleName;
use kwire_raft::types::NodeId;
use kwire_server::server::Progress;
use kwire_server::verify::Claim;
use kwire_server::workload;
use serde::{Deserialize, Serialize};

/// A line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Line {
    /// What the node is and how far it is.
    Status(Status),
    /// How its workload went since the last report.
    Report(Report),
}

/// What a node is and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// What it is: [`LEADER`], `follower` and so on.
    pub role: String,
    /// In which epoch.
    pub epoch: i32,
    /// Who leads that, where known.
    pub leader: Option<i32>,
    /// Before which offset the log is committed, as far as the node knows.
    pub high_watermark: Option<i64>,
    /// Where its log ends.
    pub log_end_offset: i64,
    /// What its workload knows to be committed.
    pub acknowledged: Option<Acknowledged>,
}

impl Status {
    /// What it claims, for a node of this id.
    #[must_use]
    pub fn claim(&self, node: usize) -> Claim {
        Claim {
            node: NodeId::try_from(node).unwrap_or(NodeId::MAX),
            epoch: self.epoch,
            leads: self.role == LEADER,
            high_watermark: self.high_watermark,
            log_end: self.log_end_offset,
            acknowledged: self
                .acknowledged
                .map(|acknowledged| workload::Acknowledged {
                    epoch: acknowledged.epoch,
                    records: acknowledged.records,
                }),
        }
    }
}

/// Records of an epoch with numbers below this are committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Acknowledged {
    /// The epoch.
    pub epoch: i32,
    /// How many records.
    pub records: u64,
}

/// How the workload went.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Committed bytes of records a second.
    pub bytes_per_second: f64,
    /// Committed records a second.
    pub records_per_second: f64,
    /// Milliseconds within which half of the records were committed.
    pub p50_ms: f64,
    /// Milliseconds within which three quarters were.
    pub p75_ms: f64,
    /// Milliseconds within which all but one of a hundred were.
    pub p99_ms: f64,
    /// Milliseconds within which all but one of a thousand were.
    pub p999_ms: f64,
}

impl From<Progress> for Status {
    fn from(progress: Progress) -> Status {
        Status {
            role: name(progress.role).to_owned(),
            epoch: progress.epoch,
            leader: progress.leader,
            high_watermark: progress.high_watermark,
            log_end_offset: progress.log_end,
            acknowledged: progress.acknowledged.map(|acknowledged| Acknowledged {
                epoch: acknowledged.epoch,
                records: acknowledged.records,
            }),
        }
    }
}

impl From<workload::Report> for Report {
    fn from(report: workload::Report) -> Report {
        Report {
            bytes_per_second: report.bytes_per_second,
            records_per_second: report.records_per_second,
            p50_ms: report.p50_ms,
            p75_ms: report.p75_ms,
            p99_ms: report.p99_ms,
            p999_ms: report.p999_ms,
        }
    }
}

/// The role of a leader, as a status has it.
pub const LEADER: &str = "leader";

fn name(role: RoleName) -> &'static str {
    match role {
        RoleName::Unattached => "unattached",
        RoleName::Prospective => "prospective",
        RoleName::Candidate => "candidate",
        RoleName::Leader => LEADER,
        RoleName::Follower => "follower",
        RoleName::Resigned => "resigned",
        _ => "unknown",
    }
}
