//! The contestants in other languages: built if their tools are there, left out if not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::benches_dir;
use super::machine::first_line;
use crate::jars::{self, NEWEST};
use crate::java::tool;

/// A contestant that runs as a program of its own.
pub(super) struct Other {
    /// Its name among the contestants.
    pub(super) name: &'static str,
    /// Library, language and their versions.
    pub(super) version: String,
    program: Program,
}

enum Program {
    Go(PathBuf),
    /// The class path.
    Java(std::ffi::OsString),
}

impl Other {
    /// franz-go's kmsg.
    pub(super) fn go() -> Result<Self> {
        let dir = benches_dir().join("go");
        let version = first_line(Command::new("go").arg("version"))
            .context("there is no `go`")?
            .replace("go version ", "");
        let program = benches_dir().join("target/kmsg-bench");
        let mut build = Command::new("go");
        build
            .current_dir(&dir)
            .arg("build")
            .arg("-o")
            .arg(&program)
            .arg(".");
        succeed(&mut build)?;
        let pinned = fs::read_to_string(dir.join("go.mod"))?;
        let kmsg = pinned
            .lines()
            .find_map(|line| line.split_once("franz-go/pkg/"));
        let kmsg = kmsg.map_or("kmsg", |(_, kmsg)| kmsg.trim());
        Ok(Self {
            name: "franz-go",
            version: format!("franz-go {kmsg} ({version})"),
            program: Program::Go(program),
        })
    }

    /// Kafka's own classes.
    pub(super) fn java() -> Result<Self> {
        let version =
            first_line(Command::new(tool("java")).arg("-version")).context("there is no `java`")?;
        let _lock = jars::lock()?;
        let release = NEWEST.parse().map_err(anyhow::Error::msg)?;
        let jars = jars::fetch(&release)?.join("*");
        let classes = benches_dir().join("target/java");
        let mut javac = Command::new(tool("javac"));
        javac.args(["--release", "17", "-encoding", "UTF-8", "-proc:none", "-cp"]);
        javac.arg(&jars).arg("-d").arg(&classes);
        for source in ["Timing", "Codec", "Batches"] {
            javac.arg(
                benches_dir()
                    .join("java")
                    .join(source)
                    .with_extension("java"),
            );
        }
        succeed(&mut javac)?;
        Ok(Self {
            name: "kafka-clients",
            version: format!("kafka-clients {NEWEST} ({version})"),
            program: Program::Java(std::env::join_paths([classes, jars])?),
        })
    }

    /// The commands that time the cases in `dir`, each operation for about so long.
    ///
    /// Java gets a process for each case: what its compiler has learnt from one message would slow
    /// down another, which a long-lived process with few messages does not suffer from.
    pub(super) fn commands(
        &self,
        dir: &Path,
        millis: u32,
        cases: &[&str],
        compressions: &[&str],
    ) -> Vec<Command> {
        match &self.program {
            Program::Go(_) if cases.is_empty() => Vec::new(),
            Program::Go(program) => {
                let mut command = Command::new(program);
                command.arg(dir).arg(millis.to_string()).args(cases);
                vec![command]
            }
            Program::Java(class_path) => {
                let messages = cases.iter().map(|case| ("kwire.Codec", case));
                let batches = compressions.iter().map(|case| ("kwire.Batches", case));
                messages
                    .chain(batches)
                    .map(|(class, case)| {
                        let mut command = Command::new(tool("java"));
                        command.arg("-Xmx1g").arg("-cp").arg(class_path).arg(class);
                        command.arg(dir).arg(millis.to_string()).arg(case);
                        command
                    })
                    .collect()
            }
        }
    }
}

fn succeed(command: &mut Command) -> Result<()> {
    let output = jars::output(command)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{} failed:\n{said}", super::line(command));
    }
    Ok(())
}
