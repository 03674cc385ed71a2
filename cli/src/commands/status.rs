//! What `kwire server --status-ms` prints, and `kwire quickstart` reads: lines of JSON.

use kwire_raft::node::RoleName;
use kwire_server::server::Progress;
use kwire_server::workload;
use serde::{Deserialize, Serialize};

/// A line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Line {
    /// What the node is and how far it is.
    Status(Status),
    /// How its workload went since the last report.
    Report(Report),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    pub(crate) role: String,
    pub(crate) epoch: i32,
    pub(crate) leader: Option<i32>,
    pub(crate) high_watermark: Option<i64>,
    pub(crate) log_end_offset: i64,
    pub(crate) acknowledged: Option<Acknowledged>,
}

/// Records of an epoch with numbers below this are committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Acknowledged {
    pub(crate) epoch: i32,
    pub(crate) records: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    pub(crate) bytes_per_second: f64,
    pub(crate) records_per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p75_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
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
pub(crate) const LEADER: &str = "leader";

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
