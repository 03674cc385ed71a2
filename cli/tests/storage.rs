//! `kwire storage`, alone and beside Kafka's own tool.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use common::{java, kwire};
use insta::assert_snapshot;
use kwire_protocol::records::{Batches, Limits};
use tempfile::TempDir;

const CLUSTER: &str = "4L6g3nShT-eMCtK--X86sw";

/// A directory with properties files in it, whose log directories are in `logs`.
struct Node {
    dir: TempDir,
}

impl Node {
    fn new() -> Node {
        let dir = tempfile::tempdir().unwrap();
        let controller = "process.roles=controller\nnode.id=1\n\
            listeners=CONTROLLER://localhost:9093\ncontroller.listener.names=CONTROLLER\n";
        let broker = "process.roles=broker\nnode.id=7\nlisteners=PLAINTEXT://localhost:9092\n\
            controller.listener.names=CONTROLLER\n";
        let dynamic = "controller.quorum.bootstrap.servers=localhost:9093\n";
        let voters = "controller.quorum.voters=1@localhost:9093\n";
        let logs = dir.path().join("logs");
        let one = format!("log.dirs={}\n", logs.join("a").display());
        let two = format!("log.dirs={0}/b,{0}/a\n", logs.display());
        for (name, parts) in [
            ("dynamic", [controller, dynamic, &one]),
            ("static", [controller, voters, &one]),
            ("broker", [broker, dynamic, &one]),
            ("two", [controller, dynamic, &two]),
        ] {
            fs::write(dir.path().join(name), parts.concat()).unwrap();
        }
        Node { dir }
    }

    /// The arguments of a subcommand with one of the properties files.
    fn arguments(&self, words: &str, config: &str, more: &str) -> Vec<String> {
        let mut words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        words.extend(["-c".to_owned(), self.path(config)]);
        words.extend(more.split_whitespace().map(str::to_owned));
        words
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// Runs the command, and gives what it said and its exit code, without the directory's name.
    fn run(&self, words: &str, config: &str, more: &str) -> String {
        let mut arguments = vec!["storage".to_owned()];
        arguments.extend(self.arguments(words, config, more));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let run = kwire(&arguments);
        let text = format!("{}{}exit code {}\n", run.out, run.err, run.code);
        without_ids(&text.replace(&self.path(""), "DIR/"))
    }

    fn format(&self, config: &str, more: &str) -> String {
        self.run(&format!("format -t {CLUSTER}"), config, more)
    }

    /// Every file of the log directories: its mode, and what is in it but for times and new ids.
    fn files(&self) -> BTreeMap<PathBuf, (u32, String)> {
        let mut files = BTreeMap::new();
        let logs = self.dir.path().join("logs");
        let mut open = vec![logs.clone()];
        while let Some(dir) = open.pop() {
            for entry in fs::read_dir(&dir).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                    continue;
                }
                let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
                let bytes = fs::read(&path).unwrap();
                // Of the directory that the file is in, or its partition is.
                let of_dir = logs.join(path.strip_prefix(&logs).unwrap().iter().next().unwrap());
                let text = if path.ends_with("meta.properties") {
                    meta(&bytes)
                } else {
                    checkpoint(&bytes, &directory_id(&of_dir))
                };
                let name = path.strip_prefix(&logs).unwrap().to_owned();
                files.insert(name, (mode, text));
            }
        }
        files
    }
}

/// The text without the ids of directories, which are new each time.
fn without_ids(text: &str) -> String {
    let mut parts = text.split("directory.id=");
    let mut out = parts.next().unwrap().to_owned();
    for part in parts {
        out.push_str("directory.id=ID");
        out.push_str(&part[22..]);
    }
    out
}

/// The lines of `meta.properties` but for the comment and the directory's id, which it has to have.
fn meta(bytes: &[u8]) -> String {
    let text = std::str::from_utf8(bytes).unwrap();
    assert!(text.contains("\ndirectory.id="), "{text}");
    let kept = |line: &&str| !line.starts_with(['#']) && !line.starts_with("directory.id=");
    let mut lines: Vec<&str> = text.lines().filter(kept).collect();
    lines.sort_unstable();
    lines.join(" ")
}

fn directory_id(dir: &Path) -> [u8; 16] {
    let text = fs::read_to_string(dir.join("meta.properties")).unwrap();
    let line = text.lines().find_map(|l| l.strip_prefix("directory.id="));
    let id: kwire_protocol::Uuid = line.unwrap().parse().unwrap();
    id.to_bytes()
}

/// The batches and records of a checkpoint, without times and the directory's own id.
fn checkpoint(bytes: &[u8], directory: &[u8; 16]) -> String {
    let mut text = String::new();
    let mut scratch = Vec::new();
    for batch in Batches::validated(bytes) {
        let batch = batch.unwrap();
        let header = batch.header().unwrap();
        let (base, last) = (header.base_offset, header.last_offset());
        let attributes = header.attributes;
        let (epoch, producer) = (header.partition_leader_epoch, header.producer_id);
        text.push_str(&format!(
            "{base} {last} {attributes:?} {epoch} {producer}\n"
        ));
        for record in batch.records(&mut scratch, &Limits::default()).unwrap() {
            let record = record.unwrap();
            let is_header = record.key == Some(&[0, 0, 0, 3]);
            let mut value = record.value.unwrap().to_vec();
            if let Some(at) = value.windows(16).position(|part| part == directory) {
                value[at..at + 16].fill(0);
            }
            if is_header {
                let all_zero = value[3..11].iter().all(|byte| *byte == 0);
                value.truncate(3);
                value.push(u8::from(all_zero));
            }
            let key = record.key;
            text.push_str(&format!("  {} {key:?} {value:02x?}\n", record.offset));
        }
    }
    text
}

/// What to format, with which properties: Kafka's tool does the same, and refuses the same.
const CASES: [(&str, &str); 22] = [
    ("dynamic", "--standalone"),
    ("dynamic", "--no-initial-controllers"),
    ("dynamic", ""),
    ("two", "--standalone"),
    ("static", ""),
    ("static", "--no-initial-controllers"),
    ("static", "--standalone"),
    ("static", "--feature kraft.version=1"),
    ("broker", ""),
    ("broker", "--no-initial-controllers"),
    ("broker", "--standalone"),
    ("dynamic", "--standalone --feature kraft.version=0"),
    (
        "dynamic",
        "--standalone --feature kraft.version=1 --feature group.version=0",
    ),
    ("dynamic", "--standalone --feature metadata.version=25"),
    ("dynamic", "--standalone --feature nonsense=1"),
    ("dynamic", "--standalone --feature group.version=7"),
    ("dynamic", "--standalone --feature metadata.version=1"),
    ("dynamic", "--standalone --release-version 9.9"),
    (
        "dynamic",
        "--standalone --release-version 3.9 --feature eligible.leader.replicas.version=1",
    ),
    ("dynamic", "--standalone --release-version 3.3-IV3"),
    ("two", "--initial-controllers 2@h:1:7zAK1veTTJeG5c0yQJ8SMw"),
    ("dynamic", INITIAL_FLAG),
];

const INITIAL_FLAG: &str = "--initial-controllers \
    1@localhost:9093:J8aAPcfLQt2bqs1JT_rMgQ,2@h2:9094:7zAK1veTTJeG5c0yQJ8SMw";

#[test]
fn what_is_said() {
    let mut text = String::new();
    for (config, flags) in CASES {
        let node = Node::new();
        text.push_str(&format!("# {config} {flags}\n"));
        text.push_str(&node.format(config, flags));
        for (name, (mode, _)) in node.files() {
            text.push_str(&format!("{mode:o} {}\n", name.display()));
        }
    }
    assert_snapshot!("storage_format", text);
}

#[test]
fn what_is_there_already() {
    let node = Node::new();
    let mut text = String::new();
    let mut say = |said: String| text.push_str(&said);
    say(node.run("info", "two", ""));
    say(node.format("two", "--standalone"));
    say(node.format("two", "--standalone"));
    say(node.format("two", "--standalone -g"));
    fs::remove_dir_all(node.path("logs/b")).unwrap();
    say(node.run("info", "two", ""));
    say(node.format("two", "--standalone -g"));
    say(node.run("info", "two", ""));
    say(node.run("format -t AAAAAAAAAAAAAAAAAAAAAA", "two", "--standalone -g"));
    say(node.format("broker", "-g"));
    say(node.run("info", "broker", ""));
    fs::write(
        node.path("logs/a/meta.properties"),
        "version=1\nnode.id=x\n",
    )
    .unwrap();
    say(node.run("info", "two", ""));
    say(node.format("nothere", "--standalone"));
    assert_snapshot!("storage_again", text);
}

/// A blank disk is not to become a voter, or to forget that it was one.
#[test]
fn a_server_needs_a_directory_that_is_formatted() {
    let node = Node::new();
    let error = kwire(&["server", "--config", &node.path("dynamic")]).fails(1);
    assert!(
        error.contains("`kwire storage format --config FILE"),
        "{error}"
    );
    let flags = [
        "server",
        "--require-formatted",
        "--config",
        &node.path("static"),
    ];
    let error = kwire(&flags).fails(1);
    assert!(error.contains("not formatted"), "{error}");
}

#[test]
fn ids_are_new() {
    let [first, second] = [(); 2].map(|()| kwire(&["storage", "random-uuid"]).ok());
    assert_ne!(first, second);
    assert_eq!(first.trim().len(), 22);
    let bad = [
        "1@a:1",
        "x@a:1:J8aAPcfLQt2bqs1JT_rMgQ",
        "1@a:1:AAAAAAAAAAAAAAAAAAAAAA",
    ];
    for controller in bad {
        let run = kwire(&["storage", "format", "-c", "x", "-t", "x", "-I", controller]);
        assert_eq!(run.code, 2, "{run:?}");
    }
}

/// Kafka's tool of a release: the same files with the same content, the same words, the same exit
/// code, for releases that it knows.
fn as_java_does(variable: &str, release: &str, more: &str) {
    for (config, flags) in CASES {
        if !more.is_empty() && (flags.contains("nonsense") || flags.contains("=7")) {
            // Refused before anything of a release matters.
            continue;
        }
        let program = format!("storage --release {release}");
        let Some(mut command) = java(variable, &program) else {
            return;
        };
        let unsaid = !flags.contains("release") && !flags.contains("metadata.version");
        // Each of the tools has another latest release.
        let flags = if unsaid {
            format!("{flags} {more}")
        } else {
            flags.to_owned()
        };
        let older = flags.contains("3.3") || flags.contains("metadata.version=25");
        if more.is_empty() && older {
            // Kafka 4.4 writes its own form for releases that cannot read it.
            continue;
        }
        let theirs = Node::new();
        let words = theirs.arguments(&format!("format -t {CLUSTER}"), config, &flags);
        let output = command.args(words).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let ours = Node::new();
        let our_words = ours.format(config, &flags);
        let code = format!("exit code {}\n", output.status.code().unwrap());
        assert!(our_words.ends_with(&code), "{config} {flags}: {our_words}");
        for line in said.lines().filter(|line| line.starts_with("Formatting ")) {
            let line = line.replace(&theirs.path(""), "DIR/");
            assert!(our_words.contains(&line), "{line}: {our_words}");
        }
        let (ours, theirs) = (ours.files(), theirs.files());
        assert_eq!(
            ours.keys().collect::<Vec<_>>(),
            theirs.keys().collect::<Vec<_>>()
        );
        for (name, file) in ours {
            let name = name.display();
            assert_eq!(
                Some(&file),
                theirs.get(Path::new(&name.to_string())),
                "{config} {flags}: {name}"
            );
        }
    }
}

#[test]
fn as_kafka_4_4_does() {
    as_java_does("KWIRE_STORAGE_4_4_0", "4.4.0", "");
}

#[test]
fn as_kafka_4_3_does() {
    as_java_does("KWIRE_STORAGE_4_3_1", "4.3.1", "--release-version 4.3");
}

/// Kafka's tool sees in our directories what it sees in its own.
#[test]
fn java_knows_what_was_formatted() {
    let Some(mut command) = java("KWIRE_STORAGE_4_4_0", "storage --release 4.4.0") else {
        return;
    };
    let node = Node::new();
    node.format("two", "--standalone");
    let output = command
        .args(node.arguments("info", "two", ""))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        without_ids(&said.replace(&node.path(""), "DIR/")) + "exit code 0\n",
        node.run("info", "two", "")
    );
}
