//! The code for every feature of the schemas. The fixtures' own crate compiles and runs it.

use std::path::Path;

use kwire_codegen::emit::{File, Json, Options, emit};
use kwire_codegen::model::{Direction, Docs, Message, Narrowing, resolve};
use kwire_codegen::parse::{MessageSchema, parse_dir, parse_message};

const FIXTURES: &str = "fixtures/schemas";

fn generate(schemas: &[MessageSchema], narrowing: &Narrowing, options: &Options) -> Vec<File> {
    emit(&narrowed(schemas, narrowing), options).unwrap()
}

fn narrowed(schemas: &[MessageSchema], narrowing: &Narrowing) -> Vec<Message> {
    let messages = resolve(schemas, &Docs::default()).unwrap();
    narrowing.apply(messages).unwrap()
}

fn fixtures() -> Vec<MessageSchema> {
    parse_dir(Path::new(FIXTURES)).unwrap()
}

/// Options under which all of the generator is at work.
fn everything() -> Options {
    Options {
        json: Json::Yes,
        apis: true,
        ..Options::default()
    }
}

#[test]
fn code_of_every_fixture() {
    for file in generate(&fixtures(), &Narrowing::default(), &everything()) {
        insta::assert_snapshot!(file.name, file.text);
    }
}

#[test]
fn order_of_files_changes_nothing() {
    let mut schemas = fixtures();
    let first = generate(&schemas, &Narrowing::default(), &everything());
    assert_eq!(
        generate(&schemas, &Narrowing::default(), &everything()),
        first
    );
    schemas.reverse();
    assert_eq!(
        generate(&schemas, &Narrowing::default(), &everything()),
        first
    );
    let middle = schemas.len() / 2;
    schemas.rotate_left(middle);
    assert_eq!(
        generate(&schemas, &Narrowing::default(), &everything()),
        first
    );
}

/// The code of one message with fewer versions.
fn only(message: &str, versions: &str) -> String {
    let narrowing = Narrowing {
        only: vec![message.to_owned()],
        versions: [(message.to_owned(), versions.parse().unwrap())].into(),
        direction: Direction::Both,
    };
    let files = generate(&fixtures(), &narrowing, &Options::default());
    assert_eq!(files.len(), 2, "{message}");
    files[0].text.clone()
}

#[test]
fn fewer_versions() {
    // Runs of one layout, without a branch.
    insta::assert_snapshot!("narrowed_runs", only("Runs", "3"));
    // Fields that came or went before vanish.
    insta::assert_snapshot!("narrowed_changed", only("Changed", "2+"));
    // Version 0 has neither tagged fields nor structs for them, and borrows nothing.
    insta::assert_snapshot!("narrowed_tagged", only("Tagged", "0"));
    // The common structs and a field of them are gone.
    insta::assert_snapshot!("narrowed_common_structs", only("CommonStructs", "0"));
    insta::assert_snapshot!("narrowed_nullable_struct", only("NullableStruct", "0-1"));
}

#[test]
fn narrowing_takes_what_hangs_on_versions_along() {
    let narrowing = Narrowing {
        versions: [("Ping".to_owned(), "1-2".parse().unwrap())].into(),
        ..Narrowing::default()
    };
    let messages = narrowed(&fixtures(), &narrowing);
    let ping = messages.iter().find(|m| m.name == "PingRequest").unwrap();
    assert!(!ping.latest_unstable);
    assert_eq!(ping.deprecated, "1".parse().unwrap());
    assert_eq!(ping.headers, [("1-2".parse().unwrap(), 1)]);
}

/// The names of the files for a narrowing.
fn names(only: &[&str], direction: Direction) -> Vec<String> {
    let narrowing = Narrowing {
        only: only.iter().map(|name| (*name).to_owned()).collect(),
        direction,
        ..Narrowing::default()
    };
    let files = generate(&fixtures(), &narrowing, &Options::default());
    files.into_iter().map(|file| file.name).collect()
}

#[test]
fn fewer_messages() {
    use Direction::{Both, Requests, Responses};
    assert_eq!(
        names(&["Ping"], Both),
        ["ping_request.rs", "ping_response.rs", "mod.rs"]
    );
    assert_eq!(
        names(&["PingResponse", "Poll"], Both),
        [
            "ping_response.rs",
            "poll_request.rs",
            "poll_response.rs",
            "mod.rs"
        ]
    );
    assert_eq!(
        names(&["Ping", "Runs"], Requests),
        ["ping_request.rs", "runs.rs", "mod.rs"]
    );
    assert_eq!(names(&["Ping"], Responses), ["ping_response.rs", "mod.rs"]);
    // A key that is reserved has no code.
    assert_eq!(names(&["Reserved"], Both), ["mod.rs"]);
}

#[test]
fn direction() {
    let narrowing = Narrowing {
        only: vec!["Poll".to_owned()],
        direction: Direction::Requests,
        ..Narrowing::default()
    };
    let files = generate(&fixtures(), &narrowing, &Options::default());
    // No response, so that the request does not name one.
    insta::assert_snapshot!("requests_only", files[0].text);
}

#[test]
fn narrowing_to_what_is_not_there() {
    let schemas = fixtures();
    let error = |only: &str, versions: &[(&str, &str)]| {
        let versions = versions.iter();
        let narrowing = Narrowing {
            only: vec![only.to_owned()],
            versions: versions
                .map(|(name, range)| ((*name).to_owned(), range.parse().unwrap()))
                .collect(),
            ..Narrowing::default()
        };
        let messages = resolve(&schemas, &Docs::default()).unwrap();
        narrowing.apply(messages).unwrap_err().to_string()
    };
    insta::assert_snapshot!("narrowing_unknown_api", error("Pong", &[]));
    insta::assert_snapshot!(
        "narrowing_unknown_api_in_versions",
        error("Ping", &[("Pong", "1+")])
    );
    insta::assert_snapshot!(
        "narrowing_no_such_version",
        error("Ping", &[("Ping", "5+")])
    );
    insta::assert_snapshot!(
        "narrowing_reserved",
        error("Reserved", &[("Reserved", "0+")])
    );
}

#[test]
fn options() {
    let schemas = fixtures();
    let only = Narrowing {
        only: vec!["PollRequest".to_owned()],
        ..Narrowing::default()
    };
    let options = Options {
        runtime_path: "crate::vendored::runtime".to_owned(),
        attributes: vec![
            "#[derive(Hash)]".to_owned(),
            "#[non_exhaustive] #[must_use]".to_owned(),
        ],
        json: Json::Feature("json".to_owned()),
        header: "From {}.".to_owned(),
        features: [("PollRequest".to_owned(), vec!["a".into(), "b".into()])].into(),
        ..Options::default()
    };
    let files = generate(&schemas, &only, &options);
    insta::assert_snapshot!("options_message", files[0].text);
    insta::assert_snapshot!("options_mod", files[1].text);

    let messages = narrowed(&schemas, &only);
    let error = |options: &Options| emit(&messages, options).unwrap_err().to_string();
    let path = Options {
        runtime_path: "no path".to_owned(),
        ..Options::default()
    };
    insta::assert_snapshot!("options_bad_path", error(&path));
    let attribute = Options {
        attributes: vec!["derive(Hash)".to_owned()],
        ..Options::default()
    };
    insta::assert_snapshot!("options_bad_attribute", error(&attribute));
}

#[test]
fn descriptions() {
    let text = "[message]\nPollResponse = \"An answer.\"\n";
    let schema = r#"{
        "name": "PollResponse", "type": "data", "validVersions": "0", "flexibleVersions": "none",
        "about": "Not taken.",
        "fields": [{ "name": "A", "type": "int8", "versions": "0+" }]
    }"#;
    let schemas = [parse_message(Path::new("PollResponse.json"), schema).unwrap()];
    let error = |text: &str| {
        let docs = Docs::parse(text).unwrap();
        resolve(&schemas, &docs).unwrap_err().to_string()
    };
    insta::assert_snapshot!("docs_message", error(""));
    insta::assert_snapshot!("docs_field", error(text));
    let docs = Docs::parse(&format!("{text}[field]\nA = \"A number.\"\n")).unwrap();
    let messages = resolve(&schemas, &docs).unwrap();
    assert_eq!(messages[0].structs[0].doc, "An answer.");
    assert_eq!(messages[0].structs[0].fields[0].doc, "A number.");
    let error = Docs::parse("[fields]\n").unwrap_err().to_string();
    assert!(error.contains("unknown field `fields`"), "{error}");
}
