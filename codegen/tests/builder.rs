//! The builder: what it writes, where, and what it says when it cannot.

use std::fs;
use std::path::Path;

use kwire_codegen::{Builder, Direction, Layout};

const FIXTURES: &str = "fixtures/schemas";

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
}

#[test]
fn one_file_to_include() {
    let files = Builder::new()
        .schemas(FIXTURES)
        .only(["Poll"])
        .files()
        .unwrap();
    assert_eq!(files.len(), 1);
    assert_eq!(files[0].name, "messages.rs");
    insta::assert_snapshot!(files[0].text);
}

#[test]
fn every_option() {
    let dir = tempfile::tempdir().unwrap();
    let docs = dir.path().join("docs.toml");
    write(
        &docs,
        "[message]\nPollRequest = \"Asks.\"\nPollResponse = \"Answers.\"\n\
         [field]\nThrottleTimeMs = \"A pause.\"\n",
    );
    let out = dir.path().join("deeply/nested");
    let builder = Builder::new()
        .schemas(format!("{FIXTURES}/PollRequest.json"))
        .schemas(format!("{FIXTURES}/PollResponse.json"))
        .docs(docs)
        .only(["Poll"])
        .versions("Poll", "2")
        .direction(Direction::Responses)
        .runtime_path("crate::wire")
        .attribute("#[derive(Hash)]")
        .json(true)
        .layout(Layout::FilePerMessage)
        .out_dir(&out);
    let paths = builder.generate().unwrap();
    assert_eq!(paths, [out.join("poll_response.rs"), out.join("mod.rs")]);
    insta::assert_snapshot!(fs::read_to_string(&paths[0]).unwrap());

    // What is there already is not written again.
    let before = fs::metadata(&paths[0]).unwrap().modified().unwrap();
    builder.generate().unwrap();
    let after = fs::metadata(&paths[0]).unwrap().modified().unwrap();
    assert_eq!(before, after);
}

#[test]
fn order_of_directories_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["PollRequest", "PollResponse"] {
        fs::create_dir(dir.path().join(name)).unwrap();
        let file = format!("{name}.json");
        fs::copy(
            Path::new(FIXTURES).join(&file),
            dir.path().join(name).join(&file),
        )
        .unwrap();
    }
    let build = |first: &str, second: &str| {
        let builder = Builder::new().schemas(dir.path().join(first));
        builder.schemas(dir.path().join(second)).files().unwrap()
    };
    assert_eq!(
        build("PollRequest", "PollResponse"),
        build("PollResponse", "PollRequest")
    );
}

/// A build script whose `main` returns the error shows it with `{:?}`.
#[test]
fn errors_read_the_same_from_main() {
    let error = Builder::new().files().unwrap_err();
    assert_eq!(format!("{error:?}"), error.to_string());
}

#[test]
fn refusals() {
    let error = |builder: Builder| builder.files().unwrap_err().to_string();
    let fixtures = || Builder::new().schemas(FIXTURES);
    insta::assert_snapshot!("no_schemas", error(Builder::new()));
    insta::assert_snapshot!("bad_versions", error(fixtures().versions("Ping", "4..5")));
    insta::assert_snapshot!(
        "nothing_left",
        error(
            fixtures()
                .only(["PingRequest"])
                .direction(Direction::Responses)
        )
    );
    let missing = error(Builder::new().schemas("no/such/directory"));
    assert!(
        missing.starts_with(
            "no/such/directory: there is no such file or directory: \
             give one with schemas, relative to /"
        ),
        "{missing}"
    );
    let empty = tempfile::tempdir().unwrap();
    let error = error(Builder::new().schemas(empty.path()));
    assert!(
        error.ends_with("the directory has no schemas: their names end in .json"),
        "{error}"
    );
    let docs = fixtures().docs("no.toml").files().unwrap_err();
    assert!(docs.to_string().starts_with("no.toml: "), "{docs}");
}

#[test]
fn schemas_of_before_3_0_may_leave_flexible_versions_out() {
    let schema = "tests/refused/message-flexible-missing.json";
    let refused = Builder::new().schemas(schema).files().unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("`flexibleVersions` is missing"),
        "{refused}"
    );
    let files = Builder::new()
        .schemas(schema)
        .before_3_0(true)
        .files()
        .unwrap();
    assert!(files[0].text.contains("flexible none"), "{}", files[0].text);
}
