//! Every rule that a schema can break, with what is said about it.
//!
//! A fixture is a file in `refused/`, or a directory of files that are wrong together.

use std::fs;
use std::path::{Path, PathBuf};

use kwire_codegen::Error;
use kwire_codegen::emit::{Options, emit};
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

/// Whoever writes schemas by a program may write any; they are refused before they cost a stack.
#[test]
fn structs_in_structs() {
    let nested = |depth: usize| {
        let mut field = r#"{ "name": "A", "type": "int8", "versions": "0" }"#.to_owned();
        for n in 1..depth {
            field = format!(
                r#"{{ "name": "A", "type": "[]B{n}", "versions": "0", "fields": [{field}] }}"#
            );
        }
        format!(
            r#"{{ "name": "X", "type": "data", "validVersions": "0", "flexibleVersions": "none", "fields": [{field}] }}"#
        )
    };
    assert_eq!(read(&nested(64)), Ok(()));
    let error = "more than 64 structs are in one another";
    for depth in [65, 100, 1000] {
        let found = read(&nested(depth)).unwrap_err();
        assert!(found.contains(error), "{found}");
    }

    // Two fields of each struct are of the next one: as many ways as there are to walk down.
    let common = |count: usize, array: &str| {
        let structs: Vec<String> = (1..count)
            .map(|n| {
                let next = match n + 1 {
                    last if last == count => "int8".to_owned(),
                    next => format!("{array}B{next}"),
                };
                let field = |name: &str| {
                    format!(r#"{{ "name": "{name}", "type": "{next}", "versions": "0" }}"#)
                };
                let fields = [field("A"), field("C")].join(", ");
                format!(r#"{{ "name": "B{n}", "versions": "0", "fields": [{fields}] }}"#)
            })
            .collect();
        let structs = structs.join(", ");
        format!(
            r#"{{ "name": "X", "type": "data", "validVersions": "0", "flexibleVersions": "none", "commonStructs": [{structs}], "fields": [{{ "name": "A", "type": "B1", "versions": "0" }}] }}"#
        )
    };
    assert_eq!(read(&common(64, "[]")), Ok(()));
    let found = read(&common(65, "[]")).unwrap_err();
    assert!(found.contains(error), "{found}");
    assert_eq!(read(&common(9, "")), Ok(()));
    let found = read(&common(60, "")).unwrap_err();
    assert!(found.contains("more than 1000 fields"), "{found}");
}

/// Reads, resolves and emits a schema.
fn read(text: &str) -> Result<(), String> {
    let parsed = parse_message(Path::new("X.json"), text).map_err(|error| error.to_string())?;
    let messages = resolve(&[parsed], &Docs::default()).map_err(|error| error.to_string())?;
    emit(&messages, &Options::default()).map_err(|error| error.to_string())?;
    Ok(())
}
