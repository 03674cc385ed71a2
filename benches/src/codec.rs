//! Every case through every contestant.

use std::hint::black_box;

use krabka_protocol::owned::{fetch_response, produce_request};
use krabka_protocol::records::RecordsPayload;

use crate::cases::{self, Case};
use crate::peers::by_hand::{by_hand, encoded};
use crate::peers::kacrab::kacrab;
use crate::peers::krabka::borrowed;
use crate::peers::kwire::kwire;
use crate::peers::{copy, kafka_protocol, krabka};
use crate::timing::{Entry, Operation, Plan};

/// Times what the plan wants.
pub fn run(plan: &Plan, cases: &[Case]) {
    for case in cases.iter().filter(|case| plan.wants_case(case.id)) {
        let all = (0..placements(case)).flat_map(|_| entries(case)).collect();
        plan.run(case.id, all);
    }
}

/// How often everybody enters, with values and buffers elsewhere in memory.
///
/// To copy a large block takes three times as long where it lies badly to its copy, which says
/// nothing about a library.
fn placements(case: &Case) -> usize {
    if case.bytes.len() > 64 << 10 { 3 } else { 1 }
}

/// The contestants at one message: the parts of its name in the libraries, kwire's value, how
/// krabka's is made of what it decoded, and how the value by hand is.
macro_rules! contestants {
    ($case:expr, $message:ident $module:ident $data:ident, $value:expr) => {
        contestants!($case, $message $module $data, $value, |_| (), |message| message)
    };
    (
        $case:expr, $message:ident $module:ident $data:ident, $value:expr,
        $prepare:expr, |$decoded:ident| $make:expr
    ) => {{
        let mut entries = copy::entries($case);
        entries.extend(kwire!($message, $case, $value));
        entries.extend(kafka_protocol::entries::<::kafka_protocol::messages::$message>($case));
        entries.extend(krabka::owned::<krabka_protocol::owned::$module::$message>($case, $prepare));
        entries.extend(borrowed!($module, $message, $case));
        entries.extend(kacrab!($data, $case));
        entries.extend(by_hand!($module, $case, |$decoded| $make));
        entries
    }};
}

#[rustfmt::skip]
fn entries(case: &Case) -> Vec<Entry<'_>> {
    match case.id {
        "a" => contestants!(case, FetchRequest fetch_request FetchRequestData, cases::fetch_one()),
        "b" => contestants!(case, FetchRequest fetch_request FetchRequestData, cases::fetch()),
        "c" => contestants!(case, FetchResponse fetch_response FetchResponseData, cases::fetch_response(), fetched_as_they_are, |message| message),
        "d" => contestants!(case, MetadataResponse metadata_response MetadataResponseData, cases::metadata(), |_| (), |message| message.made()),
        "e" => contestants!(case, VoteRequest vote_request VoteRequestData, cases::vote()),
        "f" => contestants!(case, ProduceRequest produce_request ProduceRequestData, cases::produce(), produced_as_they_are, |message| message),
        "g" => contestants!(case, ApiVersionsResponse api_versions_response ApiVersionsResponseData, cases::api_versions()),
        "h" => contestants!(case, ListOffsetsRequest list_offsets_request ListOffsetsRequestData, cases::list_offsets()),
        "i" => contestants!(case, OffsetCommitRequest offset_commit_request OffsetCommitRequestData, cases::offset_commit()),
        "j" => contestants!(case, CreateTopicsRequest create_topics_request CreateTopicsRequestData, cases::create_topics()),
        "k" => contestants!(case, JoinGroupResponse join_group_response JoinGroupResponseData, cases::join_group()),
        "l" => contestants!(case, DescribeQuorumResponse describe_quorum_response DescribeQuorumResponseData, cases::describe_quorum()),
        "m" => contestants!(case, VotersRecord voters_record VotersRecordData, cases::voters()),
        other => unreachable!("no contestants for case {other}"),
    }
}

/// krabka would write every record anew.
fn fetched_as_they_are(response: &mut fetch_response::FetchResponse) {
    for topic in &mut response.responses {
        for partition in &mut topic.partitions {
            partition.records = partition.records.as_ref().map(as_they_are);
        }
    }
}

fn produced_as_they_are(request: &mut produce_request::ProduceRequest) {
    for topic in &mut request.topic_data {
        for partition in &mut topic.partition_data {
            partition.records = partition.records.as_ref().map(as_they_are);
        }
    }
}

fn as_they_are(records: &RecordsPayload) -> RecordsPayload {
    let mut bytes = Vec::new();
    records.encode_to(&mut bytes).expect("the peer encodes");
    RecordsPayload::Raw(bytes.into())
}
