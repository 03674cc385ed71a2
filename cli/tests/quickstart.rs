//! `kwire quickstart`: three processes that are really killed.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

fn quickstart(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kwire"))
        .arg("quickstart")
        .arg("--dir")
        .arg(dir)
        .args(args)
        .output()
        .expect("it runs")
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn acknowledged(output: &Output) -> u64 {
    let text = text(output);
    let line = text
        .lines()
        .find(|line| line.contains("records acknowledged in"))
        .unwrap_or_else(|| panic!("no summary: {text}"));
    let number = line.split(' ').next().unwrap_or_default();
    number.replace(',', "").parse().expect("a number")
}

#[test]
fn nothing_is_lost_and_the_directory_can_be_used_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let dir = dir.path().join("quorum");
    let first = quickstart(&dir, &["--seconds", "6", "--chaos", "1"]);
    assert!(first.status.success(), "{}", text(&first));
    assert!(acknowledged(&first) > 0, "{}", text(&first));
    assert!(text(&first).contains("nothing lost, nothing twice"));
    let second = quickstart(&dir, &["--seconds", "4"]);
    assert!(second.status.success(), "{}", text(&second));
    assert!(acknowledged(&second) > 0, "{}", text(&second));

    let other = quickstart(&dir, &["--seconds", "1", "--nodes", "1"]);
    assert_eq!(other.status.code(), Some(2));
    assert!(
        text(&other).contains("run it with --nodes 3"),
        "{}",
        text(&other)
    );
}

/// Its nodes would read the properties of the second when they start again.
#[test]
fn a_directory_is_one_quickstarts_at_a_time() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = Command::new(env!("CARGO_BIN_EXE_kwire"))
        .args(["quickstart", "--nodes", "1", "--seconds", "6", "--dir"])
        .arg(dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let properties = dir.path().join("node-1.properties");
    let patience = Instant::now() + Duration::from_secs(20);
    while !properties.exists() && Instant::now() < patience {
        thread::sleep(Duration::from_millis(10));
    }
    let before = fs::read_to_string(&properties).expect("it began");
    let second = quickstart(dir.path(), &["--nodes", "1", "--seconds", "1"]);
    assert_eq!(second.status.code(), Some(2), "{}", text(&second));
    let said = text(&second);
    assert!(said.contains("another quickstart is running"), "{said}");
    let after = fs::read_to_string(&properties).expect("it is there");
    assert_eq!(after, before);
    let first = first.wait_with_output().expect("it ends");
    assert!(first.status.success(), "{}", text(&first));
}

#[test]
fn a_directory_of_somebody_else_is_left_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("thesis.txt"), "mine").expect("a file");
    let refused = quickstart(dir.path(), &[]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        text(&refused).contains("no quickstart made it"),
        "{}",
        text(&refused)
    );
    assert_eq!(fs::read_dir(dir.path()).expect("it is there").count(), 1);
}
