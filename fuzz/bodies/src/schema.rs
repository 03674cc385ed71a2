//! Schema files through the generator: refused with an error, or made into Rust.

use std::path::Path;

use kwire_codegen::emit::{Json, Layout, Options, emit};
use kwire_codegen::model::{Docs, Narrowing, resolve};
use kwire_codegen::parse::parse_message;

use crate::fixtures::json_files;

/// What stands between two files of one input.
const NEXT_FILE: &str = "\n\u{c}\n";

/// The input of [`schema`] for these files.
#[must_use]
pub fn schema_input(files: &[&str]) -> Vec<u8> {
    files.join(NEXT_FILE).into_bytes()
}

/// The schemas of the files in the text.
pub fn schema(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut schemas = Vec::new();
    for (number, file) in text.split(NEXT_FILE).enumerate() {
        let path = format!("File{number}.json");
        match parse_message(Path::new(&path), file) {
            Ok(schema) => schemas.push(schema),
            Err(error) => {
                let lines = file.lines().count().max(1);
                // An error at the very end may be on the line that a last line break begins.
                assert!((1..=lines + 1).contains(&error.line), "{error}");
            }
        }
    }
    let messages = match resolve(&schemas, &Docs::default()) {
        Ok(messages) => messages,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let Ok(messages) = Narrowing::default().apply(messages) else {
        return;
    };
    let options = Options {
        json: Json::Yes,
        layout: Layout::SingleFile,
        ..Options::default()
    };
    let files = emit(&messages, &options).unwrap_or_else(|error| panic!("{error}"));
    for file in files {
        if let Err(error) = syn::parse_file(&file.text) {
            panic!("{}: {error}:\n{}", file.name, file.text);
        }
    }
}

/// The schemas of all messages, of every feature there is, and of every error.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let dirs = [
        "codegen/tests/refused",
        "codegen/fixtures/schemas",
        "schemas",
    ];
    let mut seeds: Vec<Vec<u8>> = dirs
        .into_iter()
        .flat_map(json_files)
        .map(String::into_bytes)
        .collect();
    let pairs = json_files("codegen/fixtures/schemas");
    for pair in pairs.windows(2) {
        seeds.push(schema_input(&[&pair[0], &pair[1]]));
    }
    seeds
}
