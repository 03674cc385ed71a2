//! ApiVersions (KIP-35, KIP-511, KIP-584).

use std::io;

use bytes::Bytes;
use kwire_protocol::frame;
use kwire_protocol::messages::api_versions_response::FinalizedFeatureKey;
use kwire_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use kwire_raft::voters::KRaftVersions;

use super::{Answer, Caller, Clients, Head};

/// What Kafka's own clients and nodes call their software.
const KAFKAS: &str = "apache-kafka-java";

impl Clients {
    /// Of the body, which at a version that is not known cannot be read, only the name of the
    /// client's software is looked at.
    pub(super) async fn api_versions(
        &self,
        caller: &mut Caller,
        head: &Head,
        body: &Bytes,
    ) -> io::Result<Answer> {
        if let Ok(request) = head.decode::<ApiVersionsRequest<'static>>(body)
            && !request.client_software_name.is_empty()
        {
            caller.is_kafkas = Some(&*request.client_software_name == KAFKAS);
        }
        let level = self.node.ask(|driver| {
            let node = driver.node();
            (node.kraft_version(), i64::from(node.epoch()))
        });
        let (kraft_version, epoch) = level.await.map_err(io::Error::other)?;
        let (version, mut response) = self.versions.answer(head.version);
        if response.error_code == 0 {
            add_features(&mut response, kraft_version, epoch);
        }
        let mut out = Vec::new();
        frame::encode_response(version, head.correlation_id, &response, &mut out)
            .map_err(io::Error::other)?;
        Ok(Answer::Frame(out.into()))
    }
}

fn add_features(response: &mut ApiVersionsResponse<'static>, kraft_version: i16, epoch: i64) {
    response.supported_features = vec![KRaftVersions::supported_feature()];
    response.finalized_features_epoch = epoch;
    response.finalized_features = vec![FinalizedFeatureKey {
        name: KRaftVersions::FEATURE.into(),
        min_version_level: kraft_version,
        max_version_level: kraft_version,
        ..Default::default()
    }];
}
