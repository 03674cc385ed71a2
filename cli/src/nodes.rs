//! What commands that talk to a quorum have in common.

use std::time::Duration;

use kwire_protocol::ErrorCode;
use kwire_raft::types::Topic;
use kwire_raft::voters::Address;
use kwire_server::client::{ClientError, QuorumClient, QuorumState};
use kwire_server::config::address_of;

use crate::failure::Failure;

/// Which quorum is meant.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Quorum {
    /// Some nodes of the quorum, or brokers of its cluster
    #[arg(
        long,
        // As Kafka's tools have it: which of the two is asked makes no difference here.
        visible_aliases = ["bootstrap-controller", "bootstrap-server"],
        required = true,
        value_name = "HOST:PORT,...",
        value_delimiter = ',',
        value_parser = address
    )]
    pub(crate) bootstrap: Vec<Address>,
    /// The topic of its log: __cluster_metadata, or __raft_performance_test, which `kwire server` has
    /// by default. Without it the one that the quorum has
    #[arg(long, value_parser = topic)]
    pub(crate) topic: Option<Topic>,
    /// How long to wait for an answer of the leader, and to look for it
    #[arg(long, value_name = "MS", default_value_t = 30_000)]
    pub(crate) timeout_ms: u64,
}

impl Quorum {
    pub(crate) fn client(&self) -> Result<QuorumClient, Failure> {
        let topic = self.topic.clone();
        self.client_of(topic.unwrap_or_else(Topic::cluster_metadata))
    }

    fn client_of(&self, topic: Topic) -> Result<QuorumClient, Failure> {
        let timeout = Duration::from_millis(self.timeout_ms);
        let client = QuorumClient::new(self.bootstrap.clone(), topic, timeout);
        client.map_err(Failure::failed)
    }

    /// How it is doing, and who asked. Which topic it has is found out if none is named.
    pub(crate) fn describe(&self) -> Result<(QuorumClient, QuorumState), Failure> {
        let mut client = self.client()?;
        let error = match client.describe() {
            Ok(state) => return Ok((client, state)),
            Err(error) => error,
        };
        match &self.topic {
            Some(topic) if is_unknown(&error) => Err(Failure::failed(format!(
                "{error}: it has no {}; without --topic, the one that it has is looked for",
                topic.name
            ))),
            None if is_unknown(&error) => {
                let mut client = self.client_of(Topic::performance_test())?;
                let state = client.describe().map_err(Failure::failed)?;
                Ok((client, state))
            }
            _ => Err(Failure::failed(error)),
        }
    }
}

/// Whether the topic is another.
fn is_unknown(error: &ClientError) -> bool {
    let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    matches!(error, ClientError::Refused { error, .. } if *error == unknown)
}

fn address(text: &str) -> Result<Address, String> {
    let address = address_of(text.trim()).filter(|a| !a.host.is_empty() && a.port != 0);
    address.ok_or_else(|| "HOST:PORT is needed".to_owned())
}

fn topic(text: &str) -> Result<Topic, String> {
    let known = [Topic::cluster_metadata(), Topic::performance_test()];
    let found = known.iter().find(|topic| topic.name == text).cloned();
    found.ok_or_else(|| format!("{} and {} are possible", known[0].name, known[1].name))
}
