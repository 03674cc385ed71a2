//! Each command's output, exit codes and forms of input.

mod common;

use std::io::Read;

use common::{command, fixture, kwire, kwire_raw, kwire_with, lines};
use insta::assert_snapshot;
use serde_json::{Value, json};

const VOTE: &str = "00ffffffff0100";

#[test]
fn apis() {
    assert_snapshot!("apis", kwire(&["apis"]).ok());
    assert_snapshot!("apis_fetch", kwire(&["apis", "FETCH"]).ok());
    assert_eq!(
        kwire(&["apis", "1"]).ok(),
        kwire(&["apis", "fetchrequest"]).ok()
    );
    let json: Value = serde_json::from_str(&kwire(&["apis", "--json"]).ok()).unwrap();
    assert_eq!(json[1]["name"], "Fetch");
    assert_eq!(json[1]["versions"], json!([0, 18]));
    let one: Value = serde_json::from_str(&kwire(&["apis", "fetch", "--json"]).ok()).unwrap();
    assert_eq!(one, json[1]);
    let error = kwire(&["apis", "Fech"]).fails(2);
    assert_eq!(error, "there is no API 'Fech'; did you mean Fetch?");
    assert_eq!(kwire(&["apis", "999"]).fails(2), "there is no API '999'");
}

#[test]
fn describe() {
    assert_snapshot!("describe_vote", kwire(&["describe", "vote"]).ok());
    let at_17 = kwire(&["describe", "fetchRequest", "--version", "17"]).ok();
    assert_snapshot!("describe_fetch_17", at_17);
    assert!(
        kwire(&["describe", "NoOpRecord"])
            .ok()
            .ends_with("  no fields\n")
    );
    let json = kwire(&["describe", "VoteRequest", "--version", "0", "--json"]).ok();
    let json: Value = serde_json::from_str(&json).unwrap();
    let names = |fields: &Value| -> Vec<String> {
        let fields = fields.as_array().unwrap().iter();
        fields
            .map(|field| field["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&json["fields"]), ["clusterId", "topics"]);
    let both: Value = serde_json::from_str(&kwire(&["describe", "Vote", "--json"]).ok()).unwrap();
    assert_eq!(both[1]["name"], "VoteResponse");
    let old = kwire(&["describe", "AlterIsrRequest"]).ok();
    assert!(old.starts_with("AlterPartitionRequest"), "{old}");
    assert_eq!(
        kwire(&["describe", "VoteRequest", "--version", "9"]).fails(2),
        "VoteRequest has no version 9, only versions 0-2"
    );
    let error = kwire(&["describe", "VotRequest"]).fails(2);
    assert!(error.contains("did you mean VoteRequest"), "{error}");
}

/// Descriptions keep to the width that there is.
#[test]
fn describe_is_wrapped() {
    let mut child = command(&["describe", "HeartbeatRequest"]);
    let output = child.env("COLUMNS", "50").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let descriptions = text.lines().filter(|line| line.starts_with("      "));
    let longest = descriptions.map(str::len).max().unwrap();
    assert!((40..=50).contains(&longest), "{text}");
}

#[test]
fn decode_forms() {
    let expected = json!({"clusterId": null, "voterId": -1, "topics": []});
    let compact = format!("{expected}\n");
    fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
        [&["decode", "VoteRequest", "2", "--compact"], more].concat()
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), b"0x00 ffff\r\nffff 0100\n").unwrap();
    let path = file.path().to_str().unwrap();
    let at_path = format!("@{path}");
    let raw = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(raw.path(), common::unhex(VOTE)).unwrap();
    let raw = raw.path().to_str().unwrap();
    for (run, what) in [
        (kwire(&with(&[VOTE])), "an argument"),
        (kwire(&with(&["0X00 FFffFF ff 0100"])), "spaces"),
        (kwire_with(&with(&[]), VOTE.as_bytes()), "standard input"),
        (
            kwire_with(&with(&["-"]), b"0x00ff\nffffff\n0100\n"),
            "a dash",
        ),
        (kwire(&with(&[&at_path])), "a file of hex"),
        (kwire(&with(&["--base64", "AP////8BAA=="])), "base64"),
        (
            kwire_with(&with(&["--base64"]), b"AP///\n/8BAA\n"),
            "base64 input",
        ),
        (kwire(&with(&["--raw", raw])), "a plain file"),
        (
            kwire_with(&with(&["--raw"]), &common::unhex(VOTE)),
            "plain input",
        ),
        (
            kwire(&["decode", "voterequest", "latest", VOTE, "--compact"]),
            "latest",
        ),
        (
            kwire(&["decode", "VoteRequest", "--latest", VOTE, "--compact"]),
            "--latest",
        ),
        (
            kwire(&["decode", "VoteRequest", "v2", VOTE, "--compact"]),
            "v2",
        ),
    ] {
        assert_eq!(run.ok(), compact, "{what}");
    }
    let pretty = kwire(&["decode", "VoteRequest", "2", VOTE]).ok();
    assert_eq!(pretty, format!("{expected:#}\n"));
}

#[test]
fn decode_refuses() {
    for (args, code, message) in [
        (
            &["VoteRequest", "2", "00ff"][..],
            1,
            "VoteRequest v2: voterId: the bytes end: 4 wanted, 1 left (at byte 1)",
        ),
        (
            &["VoteRequest", "2", "00ffffffff010000"],
            1,
            "VoteRequest v2: 1 byte is left behind the message (at byte 7)",
        ),
        (
            &["VoteRequest", "2", "0"],
            1,
            "not hex: an odd number of digits",
        ),
        (
            &["VoteRequest", "2", "0x0!"],
            1,
            "not hex: '!' is no digit (character 4 of the input)",
        ),
        (
            &["VoteRequest", "2", "@/no/such/file"],
            1,
            "/no/such/file: No such file or directory (os error 2)",
        ),
        (
            &["VoteRequest", "3", VOTE],
            2,
            "VoteRequest has no version 3, only versions 0-2",
        ),
        (
            &["VoteRequest", "x", VOTE],
            2,
            "'x' is no version: a number is wanted, such as 3, or 'latest'",
        ),
        (
            &["Vote", "2", VOTE],
            2,
            "'Vote' is an API, not a message: say VoteRequest or VoteResponse",
        ),
        (
            &["VoteRequests", "2", VOTE],
            2,
            "there is no message 'VoteRequests'; did you mean VoteRequest or VotersRecord?",
        ),
        (
            &["VoteRequest", "2", VOTE, "--latest"],
            2,
            "give either VERSION or --latest, not both",
        ),
    ] {
        let error = kwire(&[&["decode"], args].concat()).fails(code);
        if message.contains("did you mean") {
            let start = "there is no message 'VoteRequests'; did you mean VoteRequest";
            assert!(error.starts_with(start), "{error}");
        } else {
            assert_eq!(error, message);
        }
    }
    let (code, _, error) = kwire_raw(&["decode", "VoteRequest", "2"], b"\xff\xfe");
    assert_eq!(code, 1);
    assert!(error.starts_with("error: the input is no hex"), "{error}");
}

#[test]
fn encode() {
    let json = r#"{"clusterId": "ABC", "voterId": 2}"#;
    let hex = "0441424300000002 0100".replace(' ', "");
    assert_eq!(
        kwire(&["encode", "VoteRequest", "2", json]).ok(),
        format!("{hex}\n")
    );
    assert_eq!(
        kwire_with(&["encode", "voterequest", "--latest"], json.as_bytes()).ok(),
        format!("{hex}\n")
    );
    assert_eq!(
        kwire(&["encode", "VoteRequest", "2", "--base64", "{}"]).ok(),
        "AP////8BAA==\n"
    );
    // Bytes as they are, with what looks like colours in them.
    let name = json!({"clientSoftwareName": "\u{1b}[31m\u{7f}"}).to_string();
    let (code, out, _) = kwire_raw(&["encode", "ApiVersionsRequest", "3", "--raw", &name], b"");
    assert_eq!((code, out), (0, b"\x07\x1b[31m\x7f\x01\x00".to_vec()));
    let back = kwire_with(
        &["decode", "ApiVersionsRequest", "3", "--raw"],
        b"\x07\x1b[31m\x7f\x01\x00",
    );
    let back: Value = serde_json::from_str(&back.ok()).unwrap();
    assert_eq!(back["clientSoftwareName"], "\u{1b}[31m\u{7f}");
    for (json, message) in [
        (
            "{",
            "not JSON: EOF while parsing an object at line 1 column 1",
        ),
        ("[]", "VoteRequest v2: an object is wanted, not an array"),
        (
            r#"{"x":1}"#,
            "VoteRequest v2: x: VoteRequest has no such field",
        ),
        (
            r#"{"topics":[{"partitions":[{},{"replicaId":99999999999}]}]}"#,
            "VoteRequest v2: topics[0].partitions[1].replicaId: a whole number that fits 32 bits \
             is wanted, not the number 99999999999",
        ),
    ] {
        assert_eq!(
            kwire(&["encode", "VoteRequest", "2", json]).fails(1),
            message
        );
    }
    // A field that the version lacks.
    let json = r#"{"topics":[{"partitions":[{"preVote":true}]}]}"#;
    let error = kwire(&["encode", "VoteRequest", "1", json]).fails(1);
    assert!(
        error.starts_with("VoteRequest v1: topics[0].partitions[0].preVote: "),
        "{error}"
    );
}

#[test]
fn frames() {
    let request = "0034000200000007000561646d696e0000ffffffff0100";
    let out = kwire(&["frame", "request", request]).ok();
    assert_snapshot!("frame_request", out);
    let back = kwire_with(&["frame", "request", "--encode"], out.as_bytes()).ok();
    assert_eq!(back, format!("{request}\n"));
    let long = kwire_with(
        &["frame", "request", "--encode", "--length"],
        out.as_bytes(),
    )
    .ok();
    assert_eq!(long, format!("00000017{request}\n"));
    assert_eq!(kwire(&["frame", "request", long.trim()]).ok(), out);

    let response = ["frame", "response", "--api", "vote", "--version", "2"];
    let out = kwire(&[&response[..], &["000001440000000100"]].concat()).ok();
    assert_snapshot!("frame_response", out);
    // The JSON says what it is a response of.
    let back = kwire_with(&["frame", "response", "--encode"], out.as_bytes()).ok();
    assert_eq!(back, "000001440000000100\n");
    // A correlation id that looks like a length.
    let out = kwire(&[&response[..], &["000000050000000100"]].concat()).ok();
    assert!(out.contains("\"correlationId\": 5"), "{out}");

    // What is missing follows from the rest.
    let json = r#"{"api":"Vote","version":2,"header":{"correlationId":7,"clientId":"admin"}}"#;
    let back = kwire(&["frame", "request", "--encode", json]).ok();
    assert_eq!(back, format!("{request}\n"));
    let json = r#"{"header":{"requestApiKey":52,"requestApiVersion":2,"correlationId":7,"clientId":"admin"}}"#;
    let back = kwire(&["frame", "request", "--encode", json]).ok();
    assert_eq!(back, format!("{request}\n"));
}

#[test]
fn frames_refused() {
    let encode = |json: &str| kwire(&["frame", "request", "--encode", json]).fails(1);
    assert_eq!(encode("{}"), "api is missing");
    assert_eq!(encode(r#"{"api":"Vote"}"#), "version is missing");
    assert_eq!(
        encode(r#"{"api":"Vote","version":3}"#),
        "VoteRequest has no version 3, only versions 0-2"
    );
    assert_eq!(
        encode(r#"{"api":"Vote","version":2,"headerVersion":1}"#),
        "headerVersion: 1, but Vote v2 has 2"
    );
    assert_eq!(
        encode(r#"{"api":"Vote","version":2,"header":{"requestApiKey":1}}"#),
        "header.requestApiKey: 1, but the frame says 52"
    );
    assert_eq!(
        encode(r#"{"api":"Vote","version":2,"boddy":{}}"#),
        "boddy: a frame has only header, headerVersion, api, version, body"
    );
    let error = kwire(&["frame", "request", "7fff0000000000000000"]).fails(1);
    assert!(error.contains("unknown API key 32767"), "{error}");
    kwire(&["frame", "request", "00"]).fails(1);
    let short = "00000019001200040000000100047261667400066b77697265023100";
    let error = kwire(&["frame", "request", short]).fails(1);
    let hint = "; if the first four bytes are a length, they say 25, and 24 bytes follow";
    assert!(error.ends_with(hint), "{error}");
    let error = kwire(&["frame", "response", "--api", "Vot", "--version", "2", "00"]).fails(2);
    assert_eq!(error, "there is no API 'Vot'; did you mean Vote?");
    assert_eq!(kwire(&["frame", "response", "00"]).code, 2);
}

/// Every frame that real nodes sent comes out of JSON as it went in.
#[test]
fn recorded_frames_round_trip() {
    let mut tried = std::collections::BTreeSet::new();
    for frame in lines("captures/captures-4.3.1.jsonl.gz") {
        let (api, version) = (&frame["api"], &frame["apiVersion"]);
        let kind = (
            api.to_string(),
            version.to_string(),
            frame["dir"].to_string(),
        );
        if frame["truncated"] == true || !tried.insert(kind) {
            continue;
        }
        let (api, version) = (api.as_str().unwrap(), version.to_string());
        let args = match frame["dir"] == "req" {
            true => vec!["frame", "request"],
            false => vec!["frame", "response", "--api", api, "--version", &version],
        };
        let hex = frame["hex"].as_str().unwrap();
        let json = kwire_with(&args, hex.as_bytes()).ok();
        let back = kwire_with(&[&args[..], &["--encode"]].concat(), json.as_bytes()).ok();
        assert_eq!(back.trim_end(), hex, "{api} {version}");
    }
    assert!(tried.len() > 60, "{}", tried.len());
}

/// What the help says can be run, can be.
#[test]
fn examples_of_the_help_work() {
    let mut count = 0;
    for command in [
        &["apis"][..],
        &["describe"],
        &["decode"],
        &["encode"],
        &["frame"],
        &["frame", "request"],
        &["frame", "response"],
        &["batch"],
        &["records"],
        &["explain"],
        &[],
    ] {
        let help = kwire(&[command, &["--help"]].concat()).ok();
        assert!(help.contains("Examples:"), "{help}");
        for line in help
            .lines()
            .filter_map(|line| line.strip_prefix("  kwire "))
        {
            // Those with files and pipes are for a shell.
            if line.contains(['|', '@', '<', '>'])
                || line.contains("--raw")
                || line.contains(".log")
            {
                continue;
            }
            let args: Vec<String> = line
                .split('\'')
                .enumerate()
                .flat_map(|(at, part)| -> Vec<String> {
                    match at % 2 {
                        0 => part.split_whitespace().map(str::to_owned).collect(),
                        _ => vec![part.to_owned()],
                    }
                })
                .collect();
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            if args[0] == "explain" {
                continue;
            }
            let run = kwire(&args);
            assert_eq!(run.code, 0, "{line}: {run:?}");
            count += 1;
        }
    }
    assert!(count >= 12, "{count}");
}

#[test]
fn usage_errors() {
    for args in [
        &[][..],
        &["nosuch"],
        &["decode"],
        &["decode", "VoteRequest"],
        &["decode", "VoteRequest", "2", "00", "--nosuch"],
        &["decode", "VoteRequest", "2", "--raw", "--base64"],
        &["describe", "VoteRequest", "--version", "x"],
        &["explain"],
    ] {
        assert_eq!(kwire(args).code, 2, "{args:?}");
    }
    assert_eq!(kwire(&["--version"]).code, 0);
}

/// As under `| head -1`.
#[test]
fn a_broken_pipe_ends_it_quietly() {
    let path = fixture("captures/captures-4.3.1.jsonl.gz");
    let args = ["explain", path.to_str().unwrap(), "--full"];
    let mut child = command(&args).spawn().unwrap();
    drop(child.stdout.take());
    let mut error = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut error)
        .unwrap();
    assert_eq!(
        (child.wait().unwrap().code(), error.as_str()),
        (Some(0), "")
    );
}

/// Colour is for terminals, and pipes are none.
#[test]
fn colour_on_demand() {
    let plain = kwire(&["apis", "fetch"]).ok();
    assert!(!plain.contains('\x1b'), "{plain}");
    let forced = command(&["apis", "fetch"])
        .env("CLICOLOR_FORCE", "1")
        .output()
        .unwrap();
    assert!(forced.stdout.contains(&0x1b));
    let mut both = command(&["apis", "fetch"]);
    let both = both
        .env("CLICOLOR_FORCE", "1")
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    assert!(!both.stdout.contains(&0x1b));
}
