//! Damaged bytes are taken or refused alike, apart from a table of chosen differences.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::differences::{of_bytes, outcome};
use super::random::{Rng, Shape, Values};
use super::values::made;
use super::{Failures, Pair, ask_about, encode, from_env, mutate, releases, say, seed, short};
use crate::common::{CODECS, hex};

/// Both sides take the same damaged bytes, for the same value, or a row of the table says why not.
#[test]
fn damaged_bytes() {
    let Some(releases) = releases("mutations") else {
        return;
    };
    let wanted = from_env("KWIRE_INTEROP_MUTATIONS", 20_000);
    let mut met = BTreeSet::new();
    let all: usize = releases.iter().map(|(_, pairs)| pairs.len()).sum();
    for (mut oracle, pairs) in releases {
        let mut failures = Failures::default();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        let mut asked = 0;
        for (number, pair) in pairs.iter().enumerate() {
            // Spread evenly, the remainder too.
            let (codec, version) = *pair;
            let count = wanted * (number + 1) / all - wanted * number / all;
            let mutants = mutants(*pair, count);
            let questions: Vec<Value> = mutants
                .iter()
                .map(|(_, bytes, _)| ask_about(&oracle, *pair, "hex", hex(bytes)))
                .collect();
            asked += questions.len();
            for ((case, bytes, done), answer) in mutants.iter().zip(oracle.ask(&questions)) {
                match outcome(oracle.release(), codec, version, bytes, &answer) {
                    Ok(outcome) => *counts.entry(outcome).or_default() += 1,
                    Err(ours) => failures.add(|| {
                        let name = codec.schema.name;
                        let (bytes, theirs) = (hex(bytes), short(&format!("{answer:?}")));
                        format!(
                            "{name} v{version}, case {case}: {done}\nthe bytes: {bytes}\nJava: {theirs}\nRust: {ours}"
                        )
                    }),
                }
            }
        }
        say(&format!(
            "mutations: {}: {} pairs of message and version, {asked} mutations: {counts:?}, {} disagree",
            oracle.release(),
            pairs.len(),
            failures.count,
        ));
        failures.check(&format!("mutations, {}", oracle.release()));
        met.extend(counts.into_keys());
    }
    let stale = of_bytes().find(|name| !met.contains(name));
    // So many meet every row many times; a difference that is gone is to leave the table too.
    if let (Some(name), 20_000..) = (stale, wanted) {
        panic!("mutations: Java and we no longer differ in this: {name}");
    }
}

/// Damaged messages of the pair.
fn mutants((codec, version): Pair, count: usize) -> Vec<(usize, Vec<u8>, String)> {
    let schema = codec.schema;
    // A base is worth several mutations, and needs several to be hit everywhere.
    const PER_BASE: usize = 8;
    let mut mutants = Vec::new();
    for case in 0..count.div_ceil(PER_BASE) {
        let rng = Rng::new(seed(), schema, version, "mutation", case);
        let mut values = Values::new(rng, schema, version, Shape::Small);
        let value = values.message();
        let base = encode(codec, version, &value)
            .unwrap_or_else(|error| panic!("{} v{version}: {error}: {value}", schema.name));
        let guides = mutate::guides(schema, version, &base);
        for _ in 0..PER_BASE.min(count - mutants.len()) {
            let (bytes, done) = mutate::mutate(&mut values.rng, &base, &guides);
            mutants.push((case, bytes, done));
        }
    }
    mutants
}

#[test]
fn guides_cover_every_message() {
    // Holds without Java: the walk over valid bytes ends where they end.
    for codec in CODECS {
        for version in codec.schema.versions.lowest..=codec.schema.versions.highest {
            for case in 0..3 {
                let bytes = encode(codec, version, &made((codec, version), case));
                let bytes = bytes.unwrap_or_else(|error| panic!("{error}"));
                let guides = mutate::guides(codec.schema, version, &bytes);
                assert!(guides.iter().all(|guide| guide.at.end <= bytes.len()));
            }
        }
    }
}
