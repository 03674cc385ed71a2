//! Every rule that a schema can break, with what is said about it.
//!
//! A fixture is a file in `refused/`, or a directory of files that are wrong together.

use std::fs;
use std::path::{Path, PathBuf};

use kwire_codegen::Error;
use kwire_codegen::model::{Docs, resolve};
use kwire_codegen::parse::{parse_message, schema_files};

#[test]
fn every_rule() {
    let mut fixtures: Vec<PathBuf> = fs::read_dir("tests/refused")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    fixtures.sort();
    for fixture in fixtures {
        let rule = fixture.file_stem().unwrap().to_str().unwrap().to_owned();
        match check(&fixture) {
            Err(error) => insta::assert_snapshot!(rule, error.to_string()),
            Ok(()) => panic!("{rule} is not refused"),
        }
    }
}

/// Reads and resolves a fixture, under the bare names of its files.
fn check(fixture: &Path) -> Result<(), Error> {
    let mut schemas = Vec::new();
    for file in schema_files(fixture)? {
        let text = fs::read_to_string(&file).unwrap();
        schemas.push(parse_message(Path::new(file.file_name().unwrap()), &text)?);
    }
    resolve(&schemas, &Docs::default()).map(|_| ())
}
