//! The settings of a node and of its topic, as Kafka's tools ask for them: under Kafka's names, and
//! only those that have a meaning here.

use std::fmt::Display;

use super::connections::{TIMESTAMP_AFTER, TIMESTAMP_BEFORE};
use super::{Properties, ServerConfig};

/// A setting as a tool shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Kafka's name.
    pub name: &'static str,
    /// The value in the form of a properties file.
    pub value: String,
    /// What kind of value it is.
    pub kind: Kind,
    /// Where the value comes from.
    pub source: Source,
}

/// What kind of value a setting has, numbered as in DescribeConfigs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Boolean = 1,
    /// A text.
    String = 2,
    /// A number of 32 bits.
    Int = 3,
    /// A number of 64 bits.
    Long = 5,
    /// Several texts with commas.
    List = 7,
}

/// Where the value of a setting comes from, numbered as in DescribeConfigs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The topic is as it is, and no other.
    Topic = 1,
    /// The node's properties.
    Properties = 4,
    /// Nobody set it.
    Default = 5,
}

/// The settings that do not change while a node runs, in the order of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The node's.
    pub node: Vec<Setting>,
    /// Its topic's.
    pub topic: Vec<Setting>,
}

impl Settings {
    pub(super) fn of(config: &ServerConfig, properties: &Properties) -> Settings {
        let table = Table { properties };
        Settings {
            node: table.node(config),
            topic: table.topic(config),
        }
    }
}

/// Knows which properties were set.
struct Table<'p> {
    properties: &'p Properties,
}

impl Table<'_> {
    /// A setting that may be set under any of some names, the first of which is today's.
    fn row(&self, names: &[&'static str], kind: Kind, value: impl Display) -> Setting {
        let is_set = self.properties.get(names).is_some();
        Setting {
            name: names.first().copied().unwrap_or_default(),
            value: value.to_string(),
            kind,
            source: if is_set {
                Source::Properties
            } else {
                Source::Default
            },
        }
    }

    /// The text of a property, where it says more than what was made of it.
    fn text(&self, names: &[&'static str], kind: Kind) -> Setting {
        let set = self.properties.get(names);
        self.row(names, kind, set.map_or("", |(_, value)| value))
    }

    fn node(&self, config: &ServerConfig) -> Vec<Setting> {
        let quorum = &config.quorum;
        let connections = &config.connections;
        let clients = &config.clients;
        let long = |names: &[&'static str], value: u64| self.row(names, Kind::Long, value);
        let ms = |names: &[&'static str], value: u64| self.row(names, Kind::Int, value);
        let mut all = vec![
            self.row(&["node.id", "broker.id"], Kind::Int, config.node_id),
            self.text(&["process.roles"], Kind::List),
            self.text(&["listeners"], Kind::List),
            self.text(&["advertised.listeners"], Kind::List),
            self.row(
                &["controller.listener.names"],
                Kind::List,
                &config.quorum_listener,
            ),
            self.text(&["controller.quorum.voters", "quorum.voters"], Kind::List),
            self.text(&["controller.quorum.bootstrap.servers"], Kind::List),
            self.row(
                &["log.dirs", "log.dir", "metadata.log.dir"],
                Kind::List,
                config.log_dir.display(),
            ),
            ms(
                &[
                    "controller.quorum.election.timeout.ms",
                    "quorum.election.timeout.ms",
                ],
                quorum.election_timeout_ms,
            ),
            ms(
                &[
                    "controller.quorum.fetch.timeout.ms",
                    "quorum.fetch.timeout.ms",
                ],
                quorum.fetch_timeout_ms,
            ),
            ms(
                &[
                    "controller.quorum.election.backoff.max.ms",
                    "quorum.election.backoff.max.ms",
                ],
                quorum.election_backoff_max_ms,
            ),
            ms(
                &[
                    "controller.quorum.append.linger.ms",
                    "quorum.append.linger.ms",
                ],
                quorum.append_linger_ms,
            ),
            ms(
                &[
                    "controller.quorum.request.timeout.ms",
                    "quorum.request.timeout.ms",
                ],
                quorum.request_timeout_ms,
            ),
            ms(
                &[
                    "controller.quorum.retry.backoff.ms",
                    "quorum.retry.backoff.ms",
                ],
                quorum.retry_backoff_ms,
            ),
            self.row(
                &["controller.quorum.fetch.max.bytes"],
                Kind::Int,
                quorum.fetch_max_bytes,
            ),
            self.row(
                &["controller.quorum.fetch.snapshot.max.bytes"],
                Kind::Int,
                quorum.fetch_snapshot_max_bytes,
            ),
            self.row(
                &["controller.quorum.auto.join.enable"],
                Kind::Boolean,
                quorum.auto_join,
            ),
            self.row(
                &["kwire.quorum.elect.when.refused"],
                Kind::Boolean,
                quorum.elect_when_refused,
            ),
            self.row(
                &["metadata.log.segment.bytes"],
                Kind::Int,
                config.segment_bytes,
            ),
            long(&["metadata.log.segment.ms"], config.segment_ms),
            self.row(
                &["socket.request.max.bytes"],
                Kind::Int,
                config.max_request_bytes,
            ),
            self.row(&["max.connections"], Kind::Int, connections.max_connections),
            self.row(
                &["connections.max.idle.ms"],
                Kind::Long,
                connections.idle.as_millis(),
            ),
            self.row(
                &["queued.max.request.bytes"],
                Kind::Long,
                connections.held_bytes,
            ),
            self.row(&["message.max.bytes"], Kind::Int, clients.max_batch_bytes),
            self.row(
                &["kwire.produce.plain.records.only"],
                Kind::String,
                clients.plain_records_only,
            ),
            ms(
                &["group.initial.rebalance.delay.ms"],
                clients.initial_rebalance_delay_ms,
            ),
            self.row(
                &TIMESTAMP_BEFORE,
                Kind::Long,
                clients.timestamp_before_max_ms,
            ),
            self.row(&TIMESTAMP_AFTER, Kind::Long, clients.timestamp_after_max_ms),
        ];
        all.sort_by_key(|setting| setting.name);
        all
    }

    /// Nothing of the topic is ever deleted, and its time is the producers'.
    fn topic(&self, config: &ServerConfig) -> Vec<Setting> {
        let fixed = |name, kind, value: &str, source| Setting {
            name,
            value: value.to_owned(),
            kind,
            source,
        };
        let renamed = |name, setting: Setting| Setting { name, ..setting };
        let bytes = self.row(
            &["message.max.bytes"],
            Kind::Int,
            config.clients.max_batch_bytes,
        );
        let segment_bytes = self.row(
            &["metadata.log.segment.bytes"],
            Kind::Int,
            config.segment_bytes,
        );
        let clients = &config.clients;
        let before = self.row(
            &TIMESTAMP_BEFORE,
            Kind::Long,
            clients.timestamp_before_max_ms,
        );
        let after = self.row(&TIMESTAMP_AFTER, Kind::Long, clients.timestamp_after_max_ms);
        let segment_ms = self.row(&["metadata.log.segment.ms"], Kind::Long, config.segment_ms);
        vec![
            fixed("cleanup.policy", Kind::List, "delete", Source::Default),
            fixed(
                "compression.type",
                Kind::String,
                "producer",
                Source::Default,
            ),
            renamed("max.message.bytes", bytes),
            renamed("message.timestamp.after.max.ms", after),
            renamed("message.timestamp.before.max.ms", before),
            fixed(
                "message.timestamp.type",
                Kind::String,
                "CreateTime",
                Source::Default,
            ),
            fixed("retention.bytes", Kind::Long, "-1", Source::Default),
            fixed("retention.ms", Kind::Long, "-1", Source::Topic),
            renamed("segment.bytes", segment_bytes),
            renamed("segment.ms", segment_ms),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn settings_say_where_they_come_from() {
        let text = "broker.id=1\nlisteners=PLAINTEXT://localhost:9092\n\
            quorum.voters=1@localhost:9092\nquorum.fetch.timeout.ms=77\nlog.dirs=/d\n\
            message.max.bytes=1000\n";
        let properties = Properties::parse(Path::new("p"), text).expect("properties");
        let config = ServerConfig::from_properties(&properties).expect("valid");
        let of = |settings: &[Setting], name: &str| {
            let found = settings.iter().find(|setting| setting.name == name);
            let found = found.expect("it is there");
            (found.value.clone(), found.source)
        };
        let Settings { node, topic } = &config.settings;
        assert_eq!(of(node, "node.id"), ("1".into(), Source::Properties));
        let timeout = of(node, "controller.quorum.fetch.timeout.ms");
        assert_eq!(timeout, ("77".into(), Source::Properties));
        let election = of(node, "controller.quorum.election.timeout.ms");
        assert_eq!(election, ("1000".into(), Source::Default));
        assert_eq!(
            of(topic, "max.message.bytes"),
            ("1000".into(), Source::Properties)
        );
        assert_eq!(of(topic, "retention.ms"), ("-1".into(), Source::Topic));
        for settings in [node, topic] {
            assert!(settings.is_sorted_by_key(|setting| setting.name));
        }
        assert_eq!(properties.ignored(), [""; 0]);
    }
}
