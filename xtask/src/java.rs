//! Compiles the Java programs in `xtask/java` against a Kafka release and runs them.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};

use anyhow::{Context, Result, bail};

use crate::jars::{self, Release};
use crate::paths;

/// The programs that work with every release.
const PROGRAMS: [&str; 3] = ["Capture", "Oracle", "Tables"];

/// The Java programs, compiled for one release.
pub(crate) struct Java {
    release: Release,
    class_path: OsString,
}

impl Java {
    /// Fetches the release's jars and compiles the programs, unless both have been done.
    pub(crate) fn for_release(release: &Release) -> Result<Self> {
        let _lock = jars::lock()?;
        let jars = jars::fetch(release)?.join("*");
        let classes = compile(release, &jars)?;
        let class_path = std::env::join_paths([classes, jars])
            .context("a path of the workspace holds a path separator")?;
        Ok(Self {
            release: release.clone(),
            class_path,
        })
    }

    /// Whether the release has its record classes where `RecordsCapture` wants them.
    pub(crate) fn has_records_capture(&self) -> bool {
        has_records_capture(&self.release)
    }

    /// The command that runs a program.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(tool("java"));
        command
            .arg("-Dfile.encoding=UTF-8")
            .arg("-cp")
            .arg(&self.class_path)
            .arg(format!("kwire.{program}"));
        command
    }

    /// Runs a program to its end, its output going where ours goes.
    pub(crate) fn run(
        &self,
        program: &str,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Result<()> {
        let mut command = self.command(program);
        let status = command
            .args(args)
            .status()
            .map_err(|error| jars::explain(error, command.get_program()))?;
        self.check(program, status)
    }

    /// Runs a program to its end and gives what it printed; its complaints go where ours go.
    pub(crate) fn read(
        &self,
        program: &str,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Result<Vec<u8>> {
        let mut command = self.command(program);
        let Output { status, stdout, .. } =
            jars::output(command.args(args).stderr(std::process::Stdio::inherit()))?;
        self.check(program, status)?;
        Ok(stdout)
    }

    fn check(&self, program: &str, status: ExitStatus) -> Result<()> {
        if !status.success() {
            bail!(
                "the Java program {program} failed with Kafka {} ({status})",
                self.release
            );
        }
        Ok(())
    }
}

fn has_records_capture(release: &Release) -> bool {
    release.is_at_least(4, 3)
}

/// Compiles what has changed since the last time; gives the directory of the classes.
fn compile(release: &Release, jars: &Path) -> Result<PathBuf> {
    let sources = paths::workspace_root().join("xtask/java/src");
    let classes = paths::target_dir()
        .join("kwire-java")
        .join(release.to_string());
    let stamp = format!("{:016x}", fingerprint(&sources.join("kwire"), jars)?);
    if fs::read_to_string(classes.join("stamp")).is_ok_and(|found| found == stamp) {
        return Ok(classes);
    }
    let part = classes.with_file_name(format!("{release}.part"));
    jars::clear(&part)?;
    fs::create_dir_all(&part).with_context(|| format!("cannot make {}", part.display()))?;
    let mut javac = Command::new(tool("javac"));
    // Only what the programs use is compiled: RecordsCapture and its like do not compile against older releases.
    javac
        .args(["--release", "17", "-encoding", "UTF-8", "-proc:none", "-cp"])
        .arg(jars);
    javac.arg("-sourcepath").arg(&sources).arg("-d").arg(&part);
    for program in PROGRAMS
        .into_iter()
        .chain(has_records_capture(release).then_some("RecordsCapture"))
    {
        javac.arg(sources.join("kwire").join(format!("{program}.java")));
    }
    let output = jars::output(&mut javac)?;
    if !output.status.success() {
        bail!(
            "javac failed with Kafka {release}:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    fs::write(part.join("stamp"), stamp)?;
    jars::clear(&classes)?;
    fs::rename(&part, &classes)
        .with_context(|| format!("cannot rename {} to {}", part.display(), classes.display()))?;
    Ok(classes)
}

/// A number that changes when a source, or the place of the jars, changes.
fn fingerprint(sources: &Path, jars: &Path) -> Result<u64> {
    let mut files = fs::read_dir(sources)
        .and_then(|entries| {
            entries
                .map(|entry| Ok(entry?.path()))
                .collect::<std::io::Result<Vec<_>>>()
        })
        .with_context(|| format!("cannot list {}", sources.display()))?;
    files.sort();
    let mut hasher = DefaultHasher::new();
    jars.hash(&mut hasher);
    for file in files
        .iter()
        .filter(|file| file.extension() == Some(OsStr::new("java")))
    {
        file.file_name().hash(&mut hasher);
        fs::read(file)
            .with_context(|| format!("cannot read {}", file.display()))?
            .hash(&mut hasher);
    }
    Ok(hasher.finish())
}

/// The words of a command, as a JSON array.
pub(crate) fn command_line(command: &Command) -> Result<String> {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    Ok(serde_json::to_string(&words)?)
}

/// A program of the JDK: of `JAVA_HOME`, where that is set, else from the PATH.
pub(crate) fn tool(name: &str) -> PathBuf {
    match std::env::var_os("JAVA_HOME") {
        Some(home) if !home.is_empty() => Path::new(&home).join("bin").join(name),
        _ => PathBuf::from(name),
    }
}
