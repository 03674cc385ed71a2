//! What proxies do to the messages that they pass on, beside decoding and encoding them.

mod passing;
mod peek;
mod rewrite;
mod segments;

use bytes::Bytes;
use kwire_protocol::Message;

use crate::cases::elsewhere;
use crate::peers::keep;
use crate::timing::{Entry, Plan};

const KWIRE: &str = "kwire";
/// What kwire itself takes without its functions for proxies.
const WHOLE: &str = "kwire whole";
const KAFKA: &str = "kafka-protocol";
const KRABKA: &str = "krabka-protocol";

/// A message's bytes, which are kept until the process ends, and their version.
type Body = (&'static Bytes, i16);

fn body(message: &impl Message, version: i16) -> Body {
    let bytes = message.encode_to_vec(version).expect("encodes");
    (keep(elsewhere(bytes)), std::hint::black_box(version))
}

/// With how many places of their bytes in memory everybody enters: one of them may be bad for
/// copying.
const PLACEMENTS: usize = 3;

/// A case's name, with the letter of the case of messages with the same bytes if there is one.
type Case = (&'static str, Vec<Entry<'static>>);

/// Times what the plan wants.
pub fn run(plan: &Plan) {
    if !plan.cases.is_empty() && !plan.wants_case("proxies") {
        return;
    }
    for cases in [peek::cases, rewrite::cases, segments::cases] {
        let mut all = cases();
        for _ in 1..PLACEMENTS {
            for ((_, entries), (_, more)) in all.iter_mut().zip(cases()) {
                entries.extend(more);
            }
        }
        for (name, entries) in all {
            plan.run(name, entries);
        }
    }
}
