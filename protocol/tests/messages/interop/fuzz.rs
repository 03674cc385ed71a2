//! `cargo xtask fuzz java`: damaged messages go to Kafka's own classes for as long as one likes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::differences::outcome;
use super::oracle::{Answer, Oracle};
use super::random::{Rng, Shape, Values};
use super::tree::Tree;
use super::{Pair, ask_about, encode, from_env, mutate, releases, say, seed, short};
use crate::common::{CODECS, hex, unhex};
use kwire_protocol::codec::find;

/// Mutations of one message of each pair in one round.
const PER_BASE: usize = 12;
/// The longest message that is sent: elements with long texts, doubled a few times, grow to more than
/// the lines of the oracle carry.
const MAX_LEN: usize = 100_000;
/// How many disagreements are told before the rest is only counted.
const TOLD: usize = 20;

/// A damaged message.
struct Mutant {
    pair: Pair,
    round: usize,
    bytes: Vec<u8>,
    done: String,
}

/// Runs for `KWIRE_FUZZ_SECONDS`; or asks about one message, if `KWIRE_FUZZ_ASK` is its name,
/// version and bytes, with a space between each.
#[test]
#[ignore = "runs for as long as it is told to; see `cargo xtask fuzz java`"]
fn against_java() {
    let releases = releases("fuzz").expect("the oracles that are not there");
    let ask = std::env::var("KWIRE_FUZZ_ASK").unwrap_or_default();
    let mut found = Found::default();
    if ask.is_empty() {
        run(releases, &mut found);
    } else {
        one(releases, &ask, &mut found);
    }
    assert!(
        found.unexplained == 0,
        "{} disagreements",
        found.unexplained
    );
}

fn run(mut releases: Vec<(Oracle, Vec<Pair>)>, found: &mut Found) {
    let seconds = from_env("KWIRE_FUZZ_SECONDS", 60);
    let (start, limit) = (Instant::now(), Duration::from_secs(seconds));
    let mut rounds = 0;
    let mut told = Instant::now();
    'rounds: loop {
        for (oracle, pairs) in &mut releases {
            for pairs in pairs.chunks(48) {
                if start.elapsed() >= limit {
                    break 'rounds;
                }
                let mutants = pairs.iter().flat_map(|pair| mutants(*pair, rounds));
                found.compare(oracle, mutants.collect());
            }
            if told.elapsed() > Duration::from_secs(30) {
                told = Instant::now();
                say(&format!(
                    "{} s: {}",
                    start.elapsed().as_secs(),
                    found.summary()
                ));
            }
        }
        rounds += 1;
    }
    let pairs: usize = releases.iter().map(|(_, pairs)| pairs.len()).sum();
    let summary = found.summary();
    say(&format!(
        "seed {}, {pairs} pairs of message and version, {rounds} whole rounds in {seconds} s: {summary}",
        seed()
    ));
}

fn one(releases: Vec<(Oracle, Vec<Pair>)>, ask: &str, found: &mut Found) {
    let words: Vec<&str> = ask.split(' ').collect();
    let [name, version, bytes] = words[..] else {
        panic!("KWIRE_FUZZ_ASK: name, version and hex are wanted, not {ask}");
    };
    let version: i16 = version.parse().expect("a version");
    let pair = find(CODECS, name, version).expect("a message");
    let is_it = |other: &Pair| other.0.schema.name == pair.0.schema.name && other.1 == pair.1;
    for (mut oracle, pairs) in releases {
        if !pairs.iter().any(is_it) {
            continue;
        }
        let bytes = unhex(bytes);
        let question = ask_about(&oracle, pair, "hex", hex(&bytes));
        let answer = oracle.ask(&[question]).remove(0);
        let ours = outcome(oracle.release(), pair.0, version, &bytes, &answer);
        say(&format!(
            "Kafka {}: {answer:?}\nhere: {ours:?}",
            oracle.release()
        ));
        found.unexplained += usize::from(ours.is_err());
        return;
    }
    panic!("neither release has {name} v{version}");
}

/// What became of the mutants.
#[derive(Default)]
struct Found {
    asked: usize,
    unexplained: usize,
    counts: BTreeMap<&'static str, usize>,
}

impl Found {
    fn summary(&self) -> String {
        let Found {
            asked,
            unexplained,
            counts,
        } = self;
        format!("{asked} messages: {counts:?}, {unexplained} unexplained")
    }

    fn compare(&mut self, oracle: &mut Oracle, mutants: Vec<Mutant>) {
        let question = |m: &Mutant| ask_about(oracle, m.pair, "hex", hex(&m.bytes));
        let questions: Vec<Value> = mutants.iter().map(question).collect();
        self.asked += questions.len();
        for (mutant, answer) in mutants.iter().zip(oracle.ask(&questions)) {
            let (codec, version) = mutant.pair;
            match outcome(oracle.release(), codec, version, &mutant.bytes, &answer) {
                Ok(outcome) => *self.counts.entry(outcome).or_default() += 1,
                Err(ours) => {
                    self.unexplained += 1;
                    if self.unexplained <= TOLD {
                        say(&told(oracle.release(), mutant, &answer, &ours));
                    }
                }
            }
        }
    }
}

fn told(release: &str, mutant: &Mutant, answer: &Answer, ours: &str) -> String {
    let Mutant {
        pair: (codec, version),
        round,
        bytes,
        done,
    } = mutant;
    let (name, bytes, seed) = (codec.schema.name, hex(bytes), seed());
    let (theirs, ours) = (short(&format!("{answer:?}")), short(ours));
    format!(
        "disagreement with Kafka {release}: {name} v{version}, seed {seed}, round {round}: {done}\n\
         the bytes: {bytes}\nJava: {theirs}\nhere: {ours}\n\
         again: cargo xtask fuzz java --ask {name} {version} {bytes}"
    )
}

/// Damaged messages of the pair: bytes changed anywhere, parts changed with all counts and lengths
/// mended, and both.
fn mutants((codec, version): Pair, round: usize) -> Vec<Mutant> {
    let schema = codec.schema;
    let rng = Rng::new(seed(), schema, version, "fuzz", round);
    let shape = match round % 8 {
        0 => Shape::Full,
        1 => Shape::Minimal,
        _ => Shape::Small,
    };
    let mut values = Values::new(rng, schema, version, shape);
    let value = values.message();
    let base = encode(codec, version, &value)
        .unwrap_or_else(|error| panic!("{} v{version}: {error}: {value}", schema.name));
    let guides = mutate::guides(schema, version, &base);
    let tree = Tree::new(schema, version, &base);
    let rng = &mut values.rng;
    let mutant = |number| {
        let mut done = Vec::new();
        let mut bytes = base.clone();
        if number % 3 > 0 {
            let mut tree = tree.clone();
            for _ in 0..rng.pick(&[1, 1, 1, 2, 4]) {
                let change = tree.change(rng);
                let changed = tree.bytes();
                if changed.len() > MAX_LEN {
                    break;
                }
                bytes = changed;
                done.push(change);
            }
        }
        if number % 3 != 1 {
            // What guides a reader is known of the message as it was only.
            let guides = if done.is_empty() { &guides[..] } else { &[] };
            let (mutated, how) = mutate::mutate(rng, &bytes, guides);
            bytes = mutated;
            done.push(how);
        }
        Mutant {
            pair: (codec, version),
            round,
            bytes,
            done: done.join("; "),
        }
    };
    (0..PER_BASE).map(mutant).collect()
}
