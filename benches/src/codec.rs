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
        plan.run(case.id, entries(case));
    }
}

/// The contestants at one message, whose names in the libraries are made up of the same parts.
macro_rules! entries {
    ($case:expr, $message:ident $module:ident $kacrab:ident $value:expr, $prepare:expr, $($make:tt)*) => {{
        let mut entries = kwire!($message, $case, $value);
        entries.extend(kafka_protocol::entries::<::kafka_protocol::messages::$message>($case));
        entries.extend(krabka::owned::<krabka_protocol::owned::$module::$message>($case, $prepare));
        entries.extend(kacrab!($kacrab, $case));
        entries.extend(by_hand!($module, $case $($make)*));
        entries
    }};
}

fn entries(case: &Case) -> Vec<Entry<'_>> {
    let mut entries = copy::entries(case);
    entries.extend(match case.id {
        "a" => entries!(case, FetchRequest fetch_request FetchRequestData cases::fetch_one(), |_| (), ),
        "b" => entries!(case, FetchRequest fetch_request FetchRequestData cases::fetch(), |_| (), ),
        "c" => entries!(case, FetchResponse fetch_response FetchResponseData cases::fetch_response(), fetched_as_they_are, ),
        "d" => entries!(case, MetadataResponse metadata_response MetadataResponseData cases::metadata(), |_| (), , |message| message.made()),
        "e" => entries!(case, VoteRequest vote_request VoteRequestData cases::vote(), |_| (), ),
        "f" => entries!(case, ProduceRequest produce_request ProduceRequestData cases::produce(), produced_as_they_are, ),
        "g" => entries!(case, ApiVersionsResponse api_versions_response ApiVersionsResponseData cases::api_versions(), |_| (), ),
        "h" => entries!(case, ListOffsetsRequest list_offsets_request ListOffsetsRequestData cases::list_offsets(), |_| (), ),
        "i" => entries!(case, OffsetCommitRequest offset_commit_request OffsetCommitRequestData cases::offset_commit(), |_| (), ),
        "j" => entries!(case, CreateTopicsRequest create_topics_request CreateTopicsRequestData cases::create_topics(), |_| (), ),
        "k" => entries!(case, JoinGroupResponse join_group_response JoinGroupResponseData cases::join_group(), |_| (), ),
        "l" => entries!(case, DescribeQuorumResponse describe_quorum_response DescribeQuorumResponseData cases::describe_quorum(), |_| (), ),
        "m" => entries!(case, VotersRecord voters_record VotersRecordData cases::voters(), |_| (), ),
        other => unreachable!("no contestants for case {other}"),
    });
    entries.extend(match case.id {
        "a" | "b" => borrowed!(fetch_request, FetchRequest, case, |value| value.to_owned()),
        "c" => borrowed!(fetch_response, FetchResponse, case, |value| value
            .to_owned()),
        "d" => borrowed!(metadata_response, MetadataResponse, case, |value| value
            .to_owned()),
        "e" => borrowed!(vote_request, VoteRequest, case, |value| value.to_owned()),
        "f" => borrowed!(produce_request, ProduceRequest, case, |value| value
            .to_owned()),
        "g" => borrowed!(api_versions_response, ApiVersionsResponse, case, |value| {
            value.to_owned()
        }),
        "h" => borrowed!(list_offsets_request, ListOffsetsRequest, case, |value| {
            value.to_owned()
        }),
        "i" => borrowed!(offset_commit_request, OffsetCommitRequest, case, |value| {
            value.to_owned()
        }),
        "j" => borrowed!(create_topics_request, CreateTopicsRequest, case, |value| {
            value.to_owned()
        }),
        "k" => borrowed!(join_group_response, JoinGroupResponse, case, |value| value
            .to_owned()),
        "l" => borrowed!(
            describe_quorum_response,
            DescribeQuorumResponse,
            case,
            |value| value.to_owned()
        ),
        "m" => borrowed!(voters_record, VotersRecord, case, |value| value.to_owned()),
        _ => Vec::new(),
    });
    entries
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
