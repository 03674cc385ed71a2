//! Reads and writes ten messages with kwire.

use std::hint::black_box;
use std::io::{self, Read, Write};

use kwire_protocol::Message;
use kwire_protocol::messages::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes)?;
    let mut out = Vec::new();
    macro_rules! again {
        ($($message:ident $version:literal $module:ident $data:ident,)*) => {$({
            if let Ok(message) = $message::decode(&bytes, black_box($version)) {
                message.encode(black_box($version), &mut out)?;
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
