//! What it costs not to know the message: decoding by API key and version into the enum of all.

use std::hint::black_box;

use kwire_protocol::api::{AnyRequest, AnyResponse};
use kwire_protocol::{ApiKey, Limits, Message, messages};

use crate::cases::Case;
use crate::timing::{Entry, Operation, Plan};

/// Times what the plan wants.
pub fn run(plan: &Plan, cases: &[Case]) {
    for case in cases.iter().filter(|case| plan.wants_case(case.id)) {
        let (bytes, version) = (&case.bytes, case.version);
        macro_rules! known {
            ($message:ident) => {
                Entry::new(Operation::Dispatch, "known type", || {
                    messages::$message::decode(black_box(bytes), black_box(version))
                })
            };
        }
        let known = match case.message {
            "FetchRequest" => known!(FetchRequest),
            "FetchResponse" => known!(FetchResponse),
            "MetadataResponse" => known!(MetadataResponse),
            "VoteRequest" => known!(VoteRequest),
            "ApiVersionsResponse" => known!(ApiVersionsResponse),
            "ListOffsetsRequest" => known!(ListOffsetsRequest),
            "OffsetCommitRequest" => known!(OffsetCommitRequest),
            "CreateTopicsRequest" => known!(CreateTopicsRequest),
            _ => continue,
        };
        let name = case
            .message
            .trim_end_matches("Request")
            .trim_end_matches("Response");
        let key = ApiKey::from_name(name).expect("the API exists");
        let by_key = if case.message.ends_with("Request") {
            Entry::new(Operation::Dispatch, "by key", move || {
                AnyRequest::decode(
                    black_box(key),
                    black_box(version),
                    black_box(bytes),
                    &Limits::DEFAULT,
                )
            })
        } else {
            Entry::new(Operation::Dispatch, "by key", move || {
                AnyResponse::decode(
                    black_box(key),
                    black_box(version),
                    black_box(bytes),
                    &Limits::DEFAULT,
                )
            })
        };
        plan.run(case.id, vec![known, by_key]);
    }
}
