//! Writes the seeds of the fuzz targets, and runs a target on files, without a fuzzer.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

use kwire_fuzz_bodies::{TARGETS, Target};

const USAGE: &str = "\
usage: kwire-fuzz-bodies seed DIR [TARGET...]    writes seeds to DIR/TARGET
       kwire-fuzz-bodies run TARGET FILE...      runs a target on the bytes of files";

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["seed", dir, names @ ..] => seed(Path::new(dir), names),
        ["run", name, files @ ..] => run(name, files),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn target(name: &str) -> Result<&'static Target, String> {
    let found = TARGETS.iter().find(|target| target.name == name);
    found.ok_or_else(|| {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        format!("there is no target '{name}', only {}", names.join(", "))
    })
}

fn seed(dir: &Path, names: &[&str]) -> Result<(), String> {
    let mut targets: Vec<&Target> = names
        .iter()
        .map(|name| target(name))
        .collect::<Result<_, _>>()?;
    if targets.is_empty() {
        targets.extend(TARGETS);
    }
    for target in targets {
        let dir = dir.join(target.name);
        let seeds = write(&dir, target).map_err(|error| format!("{}: {error}", dir.display()))?;
        println!("{}: {seeds} seeds in {}", target.name, dir.display());
    }
    Ok(())
}

/// Files are named by what is in them, so that the same seed is there once.
fn write(dir: &Path, target: &Target) -> io::Result<usize> {
    fs::create_dir_all(dir)?;
    let mut names = HashSet::new();
    for seed in (target.seeds)() {
        if seed.len() > target.max_len {
            continue;
        }
        let mut hasher = DefaultHasher::new();
        seed.hash(&mut hasher);
        let name = format!("seed-{:016x}", hasher.finish());
        if names.insert(name.clone()) {
            fs::write(dir.join(name), seed)?;
        }
    }
    Ok(names.len())
}

fn run(name: &str, files: &[&str]) -> Result<(), String> {
    let target = target(name)?;
    for file in files {
        let bytes = fs::read(file).map_err(|error| format!("{file}: {error}"))?;
        println!("{file}: {} bytes", bytes.len());
        (target.body)(&bytes);
    }
    Ok(())
}
