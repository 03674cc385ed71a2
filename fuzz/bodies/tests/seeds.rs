//! Every target over its seeds, without a fuzzer.

use std::time::Instant;

use kwire_fuzz_bodies::TARGETS;

fn run(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name);
    let target = target.expect("a target");
    let start = Instant::now();
    let seeds = (target.seeds)();
    for seed in &seeds {
        (target.body)(seed);
        // And what is wrong with them soon: cut short, and with a byte changed.
        (target.body)(&seed[..seed.len() / 2]);
        let mut changed = seed.clone();
        if let Some(byte) = changed.get_mut(seed.len() * 2 / 3) {
            *byte ^= 0x81;
            (target.body)(&changed);
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{name}: {} seeds, {} inputs, {seconds:.1} s",
        seeds.len(),
        3 * seeds.len()
    );
    assert!(seeds.len() > 50);
}

#[test]
fn message() {
    run("message");
}

#[test]
fn frame() {
    run("frame");
}

#[test]
fn records() {
    run("records");
}

#[test]
fn json() {
    run("json");
}

#[test]
fn schema() {
    run("schema");
}

#[test]
fn explain() {
    run("explain");
}
