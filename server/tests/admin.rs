//! What tools for administrators ask, message by message.

mod common;

use common::{Cluster, TOPIC};
use kwire_protocol::ErrorCode;
use kwire_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kwire_protocol::messages::describe_configs_response::DescribeConfigsResult;
use kwire_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use kwire_protocol::messages::*;
use kwire_raft::types::Topic;

fn resource(kind: i8, name: &str, keys: Option<&[&str]>) -> DescribeConfigsResource<'static> {
    let owned = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned().into()).collect();
    DescribeConfigsResource {
        resource_type: kind,
        resource_name: name.to_owned().into(),
        configuration_keys: keys.map(owned),
        ..Default::default()
    }
}

fn values(result: &DescribeConfigsResult<'_>) -> Vec<(String, String, i8)> {
    let rows = result.configs.iter().map(|config| {
        assert!(config.read_only, "{config:?}");
        let value = config.value.as_deref().expect("nothing is secret");
        (
            config.name.to_string(),
            value.to_owned(),
            config.config_source,
        )
    });
    rows.collect()
}

#[test]
fn settings_of_the_topic_and_of_the_node() {
    let set = [("message.max.bytes", "5000")];
    let cluster = Cluster::start(3, Topic::performance_test(), &set);
    let mut client = cluster.client();
    let own = (cluster.leader() + 1).to_string();
    for version in 0..=4 {
        let request = DescribeConfigsRequest {
            resources: vec![
                resource(2, TOPIC, None),
                resource(4, &own, Some(&["message.max.bytes", "max.connections"])),
                resource(4, "", Some(&[])),
                resource(2, "other", None),
                resource(4, "7", None),
                resource(16, "metrics", None),
            ],
            ..Default::default()
        };
        let response: DescribeConfigsResponse<'static> = client.ask(version, &request);
        let [topic, node, all, other, elsewhere, metrics] = &response.results[..] else {
            panic!("{response:?}");
        };
        let source = |source| if version == 0 { -1 } else { source };
        let rows = values(topic);
        let has = |name: &str, value: &str, from| {
            let row = (name.to_owned(), value.to_owned(), source(from));
            assert!(rows.contains(&row), "{name}={value} of {rows:?}");
        };
        has("max.message.bytes", "5000", 4);
        has("retention.ms", "-1", 1);
        has("min.insync.replicas", "2", 1);
        has("segment.bytes", "1073741824", 5);
        assert!(rows.is_sorted());
        let expected = [
            ("max.connections", "1000", 5),
            ("message.max.bytes", "5000", 4),
        ];
        let expected: Vec<(String, String, i8)> = expected
            .map(|(name, value, from)| (name.to_owned(), value.to_owned(), source(from)))
            .into();
        assert_eq!(values(node), expected);
        let default: Vec<bool> = node.configs.iter().map(|c| c.is_default).collect();
        assert_eq!(default, [version == 0, false]);
        assert_eq!((all.error_code, all.configs.len()), (0, 0));
        let refused = [other, elsewhere, metrics].map(|result| {
            assert!(result.error_message.is_some(), "{result:?}");
            ErrorCode(result.error_code)
        });
        let invalid = ErrorCode::INVALID_REQUEST;
        let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
        assert_eq!(refused, [unknown, invalid, invalid]);
    }
    // A short request is not to have a long answer.
    let request = DescribeConfigsRequest {
        resources: (0..1_001).map(|_| resource(4, &own, None)).collect(),
        ..Default::default()
    };
    client.send(4, &request);
    assert_eq!(
        client.receive_body(kwire_protocol::ApiKey::DESCRIBE_CONFIGS, 4),
        None
    );
}

#[test]
fn topics_are_described_in_pages() {
    let cluster = Cluster::start(3, Topic::performance_test(), &[]);
    let mut client = cluster.client();
    let mut describe = |names: &[&str], cursor: Option<(&str, i32)>| {
        let topic = |name: &&str| TopicRequest {
            name: (*name).to_owned().into(),
            ..Default::default()
        };
        let request = DescribeTopicPartitionsRequest {
            topics: names.iter().map(topic).collect(),
            cursor: cursor.map(|(name, index)| Cursor {
                topic_name: name.to_owned().into(),
                partition_index: index,
                ..Default::default()
            }),
            ..Default::default()
        };
        let response: DescribeTopicPartitionsResponse<'static> = client.ask(0, &request);
        assert_eq!(response.next_cursor, None);
        let rows = response.topics.into_iter().map(|topic| {
            let name = topic.name.expect("a name").to_string();
            (name, ErrorCode(topic.error_code), topic.partitions)
        });
        rows.collect::<Vec<_>>()
    };
    let all = describe(&[], None);
    let [(name, ErrorCode::NONE, partitions)] = &all[..] else {
        panic!("{all:?}");
    };
    assert_eq!((name.as_str(), partitions.len()), (TOPIC, 1));
    let partition = &partitions[0];
    assert_eq!(
        usize::try_from(partition.leader_id),
        Ok(cluster.leader() + 1)
    );
    assert_eq!(partition.replica_nodes.to_vec(), [1, 2, 3]);
    assert!(partition.leader_epoch > 0);
    let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    let names = |rows: Vec<(String, ErrorCode, Vec<_>)>| {
        let rows = rows.into_iter();
        rows.map(|(name, error, partitions)| (name, error, partitions.len()))
            .collect::<Vec<_>>()
    };
    let row = |name: &str, error, partitions| (name.to_owned(), error, partitions);
    let both = ["z", TOPIC, "z", TOPIC];
    assert_eq!(
        names(describe(&both, None)),
        [row(TOPIC, ErrorCode::NONE, 1), row("z", unknown, 0)]
    );
    assert_eq!(
        names(describe(&both, Some(("a", 0)))),
        [row("z", unknown, 0)]
    );
    assert_eq!(
        names(describe(&[TOPIC], Some((TOPIC, 1)))),
        [row(TOPIC, ErrorCode::NONE, 0)]
    );
}
