//! DescribeConfigs: the settings of the node and of its topic. None of them can be changed while it
//! runs.

use std::io;

use bytes::Bytes;
use kwire_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kwire_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kwire_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use kwire_protocol::{ErrorCode, Str};
use kwire_raft::types::NodeId;

use super::{Answer, Clients, Head, check_count};
use crate::config::{Kind, Setting, Source};

/// The types of resources that have settings here.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
/// As so many things that are named counts a resource, for its settings.
const SETTINGS: usize = 10;

impl Clients {
    pub(super) async fn describe_configs(&self, head: &Head, body: &Bytes) -> io::Result<Answer> {
        let request: DescribeConfigsRequest<'static> = head.decode(body)?;
        // Each is answered with all settings, which are longer than its name.
        check_count(
            "resources",
            request.resources.len().saturating_mul(SETTINGS),
        )?;
        let quorum = self.node.ask(|driver| {
            let node = driver.node();
            (node.config().id, node.voters().majority())
        });
        let (id, majority) = quorum.await.map_err(io::Error::other)?;
        let results = request.resources.into_iter().map(|resource| {
            let found = self.settings_of(&resource, id, majority);
            result(head.version, resource, found, request.include_synonyms)
        });
        let response = DescribeConfigsResponse {
            results: results.collect(),
            ..Default::default()
        };
        head.answer(&response)
    }

    fn settings_of(
        &self,
        resource: &DescribeConfigsResource<'static>,
        id: Option<NodeId>,
        majority: usize,
    ) -> Result<Vec<Setting>, (ErrorCode, String)> {
        let name = &*resource.resource_name;
        match resource.resource_type {
            TOPIC if name == self.topic.name => {
                let mut settings = self.settings.topic.clone();
                settings.push(acknowledging(majority));
                settings.sort_by_key(|setting| setting.name);
                Ok(settings)
            }
            TOPIC => Err((
                ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                format!("{} is the only topic here", self.topic.name),
            )),
            // What all brokers have in common and may be changed while they run: nothing.
            BROKER if name.is_empty() => Ok(Vec::new()),
            BROKER if id.is_some_and(|id| id.to_string() == name) => Ok(self.settings.node.clone()),
            BROKER => Err((
                ErrorCode::INVALID_REQUEST,
                format!("this is not node {name}, which alone knows its settings"),
            )),
            other => Err((
                ErrorCode::INVALID_REQUEST,
                format!(
                    "topics and brokers have settings here, and resources of type {other} none"
                ),
            )),
        }
    }
}

/// How many voters have a record that is acknowledged.
fn acknowledging(majority: usize) -> Setting {
    Setting {
        name: "min.insync.replicas",
        value: majority.to_string(),
        kind: Kind::Int,
        source: Source::Topic,
    }
}

fn result(
    version: i16,
    resource: DescribeConfigsResource<'static>,
    found: Result<Vec<Setting>, (ErrorCode, String)>,
    has_synonyms: bool,
) -> DescribeConfigsResult<'static> {
    let result = DescribeConfigsResult {
        resource_type: resource.resource_type,
        resource_name: resource.resource_name,
        ..Default::default()
    };
    let settings = match found {
        Ok(settings) => settings,
        Err((error, message)) => {
            return DescribeConfigsResult {
                error_code: error.0,
                error_message: Some(message.into()),
                ..result
            };
        }
    };
    let keys = resource.configuration_keys.unwrap_or_default();
    let is_wanted = |setting: &Setting| {
        keys.is_empty() || keys.iter().any(|key: &Str<'static>| **key == *setting.name)
    };
    let wanted = settings.into_iter().filter(is_wanted);
    DescribeConfigsResult {
        configs: wanted
            .map(|setting| described(version, setting, has_synonyms))
            .collect(),
        ..result
    }
}

fn described(
    version: i16,
    setting: Setting,
    has_synonyms: bool,
) -> DescribeConfigsResourceResult<'static> {
    let source = setting.source as i8;
    let itself = DescribeConfigsSynonym {
        name: setting.name.into(),
        value: Some(setting.value.clone().into()),
        source,
        ..Default::default()
    };
    DescribeConfigsResourceResult {
        name: setting.name.into(),
        value: Some(setting.value.into()),
        read_only: true,
        // Later versions say where it comes from.
        is_default: version == 0 && setting.source == Source::Default,
        config_source: source,
        synonyms: if has_synonyms {
            vec![itself]
        } else {
            Vec::new()
        },
        config_type: setting.kind as i8,
        ..Default::default()
    }
}
