//! Kafka's JSON that is not what it should be.

use kwire_hostile::cost::{self, Bound, Worst};
use kwire_hostile::damage::Random;
use kwire_hostile::fixtures::lines;
use kwire_protocol::codec::Codec;
use kwire_protocol::json::Mode;
use serde_json::{Value, json};

/// Some messages, the largest and most nested of each kind: each costs compile time.
static CODECS: &[Codec] = kwire_protocol::codec_table!(
    ApiVersionsRequest,
    CreateTopicsRequest,
    FetchResponse,
    LeaderAndIsrRequest,
    MetadataResponse,
    ProduceRequest,
    RequestHeader,
    StreamsGroupDescribeResponse,
    VoteRequest,
);

/// Bytes for a byte of JSON text, the value that was parsed from it not counted.
const BOUND: Bound = Bound {
    total: 256,
    peak: 192,
    constant: 16_384,
};

/// What may stand where a value did.
fn intruders() -> Vec<Value> {
    let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
    let deeper = (0..100).fold(json!(1), |inner, _| json!({ "topics": inner }));
    vec![
        Value::Null,
        json!(true),
        json!(-1),
        json!(1e300),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(""),
        json!("x".repeat(40_000)),
        json!("=="),
        json!([]),
        json!(vec![json!({}); 500]),
        json!({ "nobody": 1, "knows": 2 }),
        json!({ "_unknownTaggedFields": [[5, "00"], [-1, ""], [1, "0"]] }),
        deep,
        deeper,
    ]
}

/// The places of all values, as paths that `Value::pointer_mut` takes.
fn places(value: &Value, path: &str, out: &mut Vec<String>) {
    out.push(path.to_owned());
    match value {
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate().take(2) {
                places(value, &format!("{path}/{index}"), out);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                places(value, &format!("{path}/{name}"), out);
            }
        }
        _ => {}
    }
}

#[test]
fn every_value_replaced() {
    let mut worst = Worst::default();
    let intruders = intruders();
    let mut random = Random::new(20_260_104);
    for line in lines("java/corpus-4.4.0.jsonl.gz") {
        let name = line["schema"].as_str().unwrap();
        let Some(codec) = CODECS.iter().find(|codec| codec.schema.name == name) else {
            continue;
        };
        let version = line["version"].as_i64().unwrap() as i16;
        let mut all = Vec::new();
        places(&line["json"], "", &mut all);
        for _ in 0..40 {
            let mut json = line["json"].clone();
            let place = &all[random.below(all.len())];
            let with = &intruders[random.below(intruders.len())];
            *json.pointer_mut(place).unwrap() = with.clone();
            let len = json.to_string().len();
            for mode in [Mode::Strict, Mode::Defaults] {
                let cost = cost::of(|| (codec.encode_json)(&json, version, mode));
                worst.see(cost, len, &BOUND, || {
                    format!(
                        "{name} v{version}, {place}, {}",
                        &with.to_string()[..with.to_string().len().min(40)]
                    )
                });
            }
        }
    }
    println!("JSON: {worst}");
    assert!(worst.inputs > 10_000);
}

/// Arrays of empty objects are the shortest text for the largest structs.
#[test]
fn arrays_of_empty_objects() {
    let mut worst = Worst::default();
    for codec in CODECS {
        for field in codec.schema.structs[0].fields {
            for count in [1000, 4000] {
                let json = json!({ field.name: vec![json!({}); count] });
                let len = json.to_string().len();
                let version = codec.schema.versions.highest;
                let cost = cost::of(|| (codec.encode_json)(&json, version, Mode::Defaults));
                worst.see(cost, len, &BOUND, || {
                    format!("{} {}", codec.schema.name, field.name)
                });
            }
        }
    }
    println!("empty objects: {worst}");
}
