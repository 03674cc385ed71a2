//! The fixtures of the protocol's tests, out of which seeds are made.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde_json::Value;

/// A path in the workspace.
pub(crate) fn path(of: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(of)
}

/// The JSON lines of a fixture.
pub(crate) fn lines(name: &str) -> impl Iterator<Item = Value> {
    let path = path("protocol/tests/fixtures").join(name);
    let file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    BufReader::new(GzDecoder::new(file))
        .lines()
        .map(|line| serde_json::from_str(&line.expect("a line")).expect("a line of JSON"))
}

/// The texts of the `.json` files in a directory and in those below it.
pub(crate) fn json_files(dir: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let mut dirs = vec![path(dir)];
    while let Some(dir) = dirs.pop() {
        let entries = fs::read_dir(&dir);
        let entries = entries.unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
        let mut paths: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                dirs.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| extension == "json")
            {
                texts.push(fs::read_to_string(&path).expect("a text"));
            }
        }
    }
    texts
}

/// The digits of bytes.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of digits.
///
/// # Panics
/// When they are not hex digits, two a byte.
#[must_use]
pub fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "an odd number of digits");
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex"))
        .collect()
}

/// A number of a line.
pub(crate) fn int(line: &Value, name: &str) -> i16 {
    let number = line[name].as_i64().and_then(|n| i16::try_from(n).ok());
    number.unwrap_or_else(|| panic!("{name}: {line}"))
}

/// The bytes of a line.
pub(crate) fn bytes(line: &Value) -> Option<Vec<u8>> {
    line["hex"].as_str().map(unhex)
}
