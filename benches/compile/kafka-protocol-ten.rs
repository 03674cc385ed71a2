//! Reads and writes ten messages with kafka-protocol.

use std::hint::black_box;
use std::io::{self, Read, Write};

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes)?;
    let bytes = Bytes::from(bytes);
    let mut out = BytesMut::new();
    macro_rules! again {
        ($($message:ident $version:literal $module:ident $data:ident,)*) => {$({
            if let Ok(message) = $message::decode(&mut bytes.clone(), black_box($version)) {
                message.encode(&mut out, black_box($version))?;
            }
        })*};
    }
    again!(
        ApiVersionsResponse 4 api_versions_response ApiVersionsResponseData,
        MetadataResponse 12 metadata_response MetadataResponseData,
        FetchRequest 17 fetch_request FetchRequestData,
        FetchResponse 17 fetch_response FetchResponseData,
        ProduceRequest 11 produce_request ProduceRequestData,
        ListOffsetsRequest 8 list_offsets_request ListOffsetsRequestData,
        OffsetCommitRequest 9 offset_commit_request OffsetCommitRequestData,
        JoinGroupResponse 9 join_group_response JoinGroupResponseData,
        CreateTopicsRequest 7 create_topics_request CreateTopicsRequestData,
        VoteRequest 2 vote_request VoteRequestData,
    );
    io::stdout().write_all(&out)?;
    Ok(())
}
