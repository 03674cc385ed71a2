//! Every message at every version: no bytes make decoding panic, or cost more than is stated.

use bytes::Bytes;
use kwire_hostile::cost::{self, Bound, Cost, Worst};
use kwire_hostile::damage::{Random, replaced, replacements};
use kwire_hostile::fixtures::{Seeds, seeds};
use kwire_hostile::layout::{self, Site};
use kwire_hostile::messages::{self, Codec};
use kwire_hostile::worst::{self, Plan};
use kwire_protocol::json::bytes_to_json;
use kwire_protocol::{DecodeErrorKind, Limits};

/// What the documentation of `Limits` states.
const DECODING: Bound = Bound {
    total: 144,
    peak: 128,
    constant: 2048,
};

/// The same for Kafka's JSON, which is many times as long as the bytes.
const JSON: Bound = Bound {
    total: 480,
    peak: 256,
    constant: 16 << 10,
};

const LIMITS: Limits = Limits::DEFAULT;

/// Decodes in each of the ways that there are, and holds each against its bound.
fn decode(codec: &Codec, version: i16, input: &[u8], worst: &mut [Worst; 3], what: &str) {
    let name = || format!("{} v{version}, {what}", codec.schema.name);
    let borrowed = cost::of(|| (codec.borrowed)(input, version, &LIMITS));
    worst[0].see(borrowed, input.len(), &DECODING, name);
    let frame = Bytes::copy_from_slice(input);
    let owned = cost::of(|| (codec.owned)(&frame, version, &LIMITS));
    worst[1].see(owned, input.len(), &DECODING, name);
    let loose = cost::of(|| (codec.loose)(input, version, &LIMITS));
    worst[1].see(loose, input.len(), &DECODING, name);
    let json = cost::of(|| bytes_to_json(codec.schema, version, input, &LIMITS));
    worst[2].see(json, input.len(), &JSON, name);
}

fn print(title: &str, worst: &[Worst; 3]) {
    for (way, worst) in ["borrowed", "borrowing nothing", "JSON"].iter().zip(worst) {
        println!("{title}, {way}: {worst}");
    }
}

fn sites(seeds: &Seeds, bytes: &[u8]) -> Vec<Site> {
    let schema = seeds.codec.schema;
    let sites = layout::sites(schema, seeds.version, bytes);
    sites.unwrap_or_else(|| panic!("{} v{}: {bytes:02x?}", schema.name, seeds.version))
}

#[test]
fn every_truncation() {
    let mut worst = <[Worst; 3]>::default();
    for seeds in seeds(600) {
        for bytes in seeds.bytes.iter().rev().take(4) {
            for len in 0..bytes.len() {
                decode(
                    seeds.codec,
                    seeds.version,
                    &bytes[..len],
                    &mut worst,
                    "truncated",
                );
            }
        }
    }
    print("truncations", &worst);
    assert!(worst[0].inputs > 300_000);
}

#[test]
fn every_length_count_and_tag() {
    let mut worst = <[Worst; 3]>::default();
    for seeds in seeds(600) {
        for bytes in seeds.bytes.iter().rev().take(4) {
            let sites = sites(&seeds, bytes);
            // Of an array with many elements, some.
            let step = sites.len().div_ceil(60).max(1);
            for site in sites.iter().step_by(step) {
                for with in replacements(site, bytes.len() - site.end) {
                    let input = replaced(bytes, site, &with);
                    decode(seeds.codec, seeds.version, &input, &mut worst, "replaced");
                }
            }
        }
    }
    print("lengths, counts and tags", &worst);
    assert!(worst[0].inputs > 400_000);
}

#[test]
fn bit_flips() {
    let mut worst = <[Worst; 3]>::default();
    let mut random = Random::new(20_260_101);
    for seeds in seeds(2000) {
        for bytes in &seeds.bytes {
            for _ in 0..8 {
                let input = random.flipped(bytes);
                decode(seeds.codec, seeds.version, &input, &mut worst, "flipped");
            }
        }
    }
    print("bit flips", &worst);
    assert!(worst[0].inputs > 40_000);
}

/// The dearest bytes for each array of each message, one in the other.
#[test]
fn the_worst_of_every_array() {
    let mut worst = <[Worst; 3]>::default();
    for codec in messages::ALL {
        let versions = codec.schema.versions;
        for version in versions.lowest..=versions.highest {
            for path in worst::arrays(codec.schema, version) {
                every_plan(codec, version, &path, 2200, &mut worst);
                // Just behind the number of tags at which their vector grows for the last time.
                if version == versions.highest {
                    every_plan(codec, version, &path, 16_500, &mut worst);
                }
            }
        }
    }
    print("arrays", &worst);
    assert!(worst[0].inputs > 5000);
    // The bound is no higher than it has to be.
    assert!(
        worst[0].total.0 > DECODING.total as f64 * 0.8,
        "{}",
        worst[0]
    );
    assert!(worst[0].peak.0 > DECODING.peak as f64 * 0.8, "{}", worst[0]);
}

fn every_plan(codec: &Codec, version: i16, path: &[usize], len: usize, worst: &mut [Worst; 3]) {
    for plan in [
        Plan::Elements(len),
        Plan::Claims(len),
        Plan::ClaimsAndTags(len),
    ] {
        let input = worst::message(codec.schema, version, path, plan);
        let what = format!("{plan:?} at {path:?}");
        decode(codec, version, &input, worst, &what);
        let result = (codec.borrowed)(&input, version, &LIMITS);
        if matches!(plan, Plan::Elements(_)) {
            result.unwrap();
        } else if worst::takes_room(codec.schema, path) {
            // A claim that is refused at once would prove nothing.
            let cost = cost::of(|| (codec.borrowed)(&input, version, &LIMITS));
            assert!(cost.total >= input.len() as u64, "{what}: {result:?}");
        }
    }
}

/// Unknown tags in the message's own struct, just behind each number at which their vector grows.
#[test]
fn the_worst_of_unknown_tags() {
    let mut worst = <[Worst; 3]>::default();
    for codec in messages::ALL {
        let versions = codec.schema.versions;
        let version = versions.highest;
        if !codec.schema.flexible.contains(version) {
            continue;
        }
        for count in [1, 2, 3, 5, 9, 1025, 8193, 10_000] {
            let input = worst::tags(codec.schema, version, count);
            (codec.borrowed)(&input, version, &LIMITS).unwrap();
            decode(codec, version, &input, &mut worst, &format!("{count} tags"));
        }
        let input = worst::tags(codec.schema, version, 10_001);
        let error = (codec.borrowed)(&input, version, &LIMITS).unwrap_err();
        assert!(
            matches!(error.kind(), DecodeErrorKind::TagsOverLimit { .. }),
            "{error}"
        );
        decode(codec, version, &input, &mut worst, "10001 tags");
    }
    print("unknown tags", &worst);
}

/// Where the budget is below what the bytes would come to, it is what holds.
#[test]
fn the_budget_is_kept_to() {
    let mut worst = <[u64; 3]>::default();
    for codec in messages::ALL {
        let version = codec.schema.versions.highest;
        for path in worst::arrays(codec.schema, version) {
            for plan in [
                Plan::Elements(16_500),
                Plan::Claims(16_500),
                Plan::ClaimsAndTags(16_500),
            ] {
                let input = worst::message(codec.schema, version, &path, plan);
                let frame = Bytes::copy_from_slice(&input);
                for budget in [0, 1000, 30_000] {
                    let limits = Limits {
                        max_allocated_bytes: budget,
                        ..LIMITS
                    };
                    let costs = [
                        cost::of(|| (codec.borrowed)(&input, version, &limits)),
                        cost::of(|| (codec.owned)(&frame, version, &limits)),
                        cost::of(|| bytes_to_json(codec.schema, version, &input, &limits)),
                    ];
                    for (worst, cost) in worst.iter_mut().zip(costs) {
                        *worst = (*worst).max(cost.total.saturating_sub(budget as u64));
                    }
                    let name = format!("{} v{version}, {plan:?} at {path:?}", codec.schema.name);
                    let most = [2048, 2048, 16 << 10];
                    for (cost, most) in costs.iter().zip(most) {
                        assert!(
                            cost.total <= budget as u64 + most,
                            "{name}, {budget}: {cost:?}"
                        );
                    }
                }
            }
        }
    }
    println!("bytes beyond the budget (borrowed, shared and owned, JSON): {worst:?}");
}

/// Twice the bytes are at most twice the work: allocations and their bytes, of good bytes and bad.
#[test]
fn work_is_linear() {
    let mut inputs = 0;
    let doubled = |less: Cost, more: Cost, name: &str| {
        // A vector of tags may have grown once more than its share.
        let most = |less: u64| less * 5 / 2 + 2048;
        assert!(more.total <= most(less.total), "{name}: {less:?}, {more:?}");
        assert!(more.count <= most(less.count), "{name}: {less:?}, {more:?}");
    };
    for codec in messages::ALL {
        let versions = codec.schema.versions;
        for version in versions.lowest..=versions.highest {
            for path in worst::arrays(codec.schema, version) {
                for plan in [Plan::Elements, Plan::Claims, Plan::ClaimsAndTags] {
                    let costs = [2000, 4000, 8000].map(|len| {
                        let input = worst::message(codec.schema, version, &path, plan(len));
                        inputs += 1;
                        cost::of(|| (codec.borrowed)(&input, version, &LIMITS))
                    });
                    let name = format!(
                        "{} v{version}, {:?} at {path:?}",
                        codec.schema.name,
                        plan(0)
                    );
                    doubled(costs[0], costs[1], &name);
                    doubled(costs[1], costs[2], &name);
                }
            }
        }
    }
    println!("linear: {inputs} inputs");
}
