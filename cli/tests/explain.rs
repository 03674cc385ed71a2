//! `kwire explain`, on what real nodes said.

mod common;

use common::{fixture, kwire, kwire_with, unzipped};
use insta::assert_snapshot;

const CAPTURES: &str = "captures/captures-4.3.1.jsonl.gz";

fn explain(more: &[&str]) -> common::Run {
    let path = fixture(CAPTURES);
    kwire(&[&["explain", path.to_str().unwrap()], more].concat())
}

/// Without the first line, which has the path of the file.
fn without_path(text: &str) -> String {
    let (first, rest) = text.split_once('\n').unwrap();
    let (_, counts) = first.rsplit_once(": ").unwrap();
    format!("{counts}\n{rest}")
}

#[test]
fn an_election() {
    let text = explain(&["--phase", "tr-kill"]).ok();
    assert!(
        text.lines()
            .all(|line| line.chars().count() <= 100 || line.contains("fixtures"))
    );
    assert_snapshot!("explain_election", without_path(&text));
}

#[test]
fn choices() {
    let text = explain(&[
        "--phase", "tr-*", "--api", "vote,54", "--limit", "3", "--full",
    ])
    .ok();
    assert_snapshot!("explain_choices", without_path(&text));
    let nothing = explain(&["--phase", "tr-kill", "--api", "AddRaftVoter"]).ok();
    assert_eq!(
        without_path(&nothing),
        "0 of 416 frames, 0 requests and 0 responses\n  \
         Nothing in it is of these APIs in these phases.\n"
    );
    assert_eq!(
        explain(&["--api", "Vot"]).fails(2),
        "there is no API 'Vot'; did you mean Vote?"
    );
    let error = explain(&["--phase", "nosuch"]).fails(2);
    assert!(
        error.starts_with("there is no phase 'nosuch', only clients-"),
        "{error}"
    );
}

/// What is in the order of time stays as it is, and so does what shall.
#[test]
fn order() {
    let frame = |phase: &str, conn: i32, corr: i32| {
        let start =
            format!(r#"{{"phase":"{phase}","conn":{conn},"corr":{corr},"client":"c{corr}""#);
        format!(r#"{start},"link":"n","dir":"req","apiKey":52,"apiVersion":2,"hex":"00"}}"#)
    };
    let clients = |args: &[&str], lines: &[String]| -> Vec<String> {
        let run = kwire_with(
            &[&["explain", "-"], args].concat(),
            lines.join("\n").as_bytes(),
        );
        let talks = run.out.lines().filter_map(|line| line.split_once(" -> "));
        talks.map(|(client, _)| client.to_owned()).collect()
    };
    let in_order = [frame("a", 2, 7), frame("a", 1, 3), frame("b", 1, 4)];
    assert_eq!(clients(&[], &in_order), ["c7", "c3", "c4"]);
    // A phase that goes on after the next one began; a connection that counts backwards.
    let mixed = [frame("a", 2, 7), frame("b", 1, 4), frame("a", 1, 3)];
    assert_eq!(clients(&[], &mixed), ["c7", "c3", "c4"]);
    assert_eq!(clients(&["--limit", "2"], &mixed), ["c7", "c3"]);
    assert_eq!(clients(&["--file-order"], &mixed), ["c7", "c4", "c3"]);
    let backwards = [frame("a", 1, 8), frame("a", 1, 7)];
    assert_eq!(clients(&[], &backwards), ["c7", "c8"]);
}

/// No frame of the recordings is left unexplained but those recorded in part.
#[test]
fn everything_is_decoded() {
    for (name, frames, cut) in [
        (CAPTURES, "416 frames", 1),
        ("captures/captures-3.9.2.jsonl.gz", "393 frames", 18),
    ] {
        let path = fixture(name);
        let text = kwire(&["explain", path.to_str().unwrap()]).ok();
        assert!(text.contains(frames), "{text}");
        assert_eq!(text.matches("recorded in part only").count(), cut);
        assert!(!text.contains("in the frame"), "{text}");
        assert!(!text.contains("(at byte"), "{text}");
    }
}

#[test]
fn odd_recordings() {
    let vote = r#""conn":1,"client":"c","link":"n","apiKey":52,"apiVersion":2,"len":"#;
    let recording = [
        // Answered under another correlation id than the frame has, and twice.
        format!(
            r#"{{{vote}18,"dir":"req","corr":8,"hex":"0034000200000007000000 00ffffffff0100"}}"#
        ),
        format!(r#"{{{vote}9,"dir":"resp","corr":8,"hex":"000000080000000100"}}"#),
        format!(r#"{{{vote}9,"dir":"resp","corr":8,"hex":"000000080000000100"}}"#),
        // Longer than it says.
        format!(r#"{{{vote}8,"dir":"resp","corr":8,"hex":"000000080000000100"}}"#),
        // Not answered, cut, not hex, of no API, and no message.
        format!(r#"{{{vote}99,"dir":"req","corr":9,"hex":"0034"}}"#),
        format!(r#"{{{vote}1,"dir":"req","corr":10,"hex":"zz"}}"#),
        format!(r#"{{{vote}10,"dir":"req","corr":11,"hex":"7fff0002000000070000"}}"#),
        format!(r#"{{{vote}9,"dir":"resp","corr":11,"hex":"00000008000000ff00"}}"#),
        String::new(),
        "{}".to_owned(),
        "nonsense".to_owned(),
    ];
    let recording = recording.join("\n");
    let run = kwire_with(&["explain", "-"], recording.as_bytes());
    assert_eq!(run.code, 1);
    assert_eq!(
        run.err,
        "error: standard input: line 10 is no frame: missing field `conn` at line 1 column 2, and 1 more such lines\n"
    );
    assert_snapshot!("explain_odd", run.out);

    // Plain text as well as gzip, and a gzip file that is cut.
    let whole = unzipped(CAPTURES);
    let text = kwire_with(&["explain", "-"], &whole).ok();
    assert_eq!(without_path(&text), without_path(&explain(&[]).ok()));
    let gzip = std::fs::read(fixture(CAPTURES)).unwrap();
    let run = kwire_with(&["explain", "-"], &gzip[..gzip.len() / 2]);
    assert_eq!(run.code, 1, "{}", run.err);
    assert!(run.out.contains(" frames, "), "{}", run.out);
    assert_eq!(
        kwire(&["explain", "/no/such"]).fails(1),
        "/no/such: No such file or directory (os error 2)"
    );
}
