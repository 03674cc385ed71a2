//! Fetches the jars of a Kafka release with Maven.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::str::FromStr;

use anyhow::{Context, Result, bail};

use crate::paths;

/// The release that the project's tables and messages follow.
pub(crate) const NEWEST: &str = "4.4.0";

/// The releases that have corpora: the newest, one of 3.x with the versions that 4.0 dropped, and one with KRaft's preview.
pub(crate) const RELEASES: [&str; 3] = [NEWEST, "3.9.2", "2.8.2"];

/// The name of a Kafka release, such as 4.4.0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Release {
    text: String,
    major: u32,
    minor: u32,
}

impl Release {
    /// Whether this is release `major.minor` or a later one.
    pub(crate) fn is_at_least(&self, major: u32, minor: u32) -> bool {
        (self.major, self.minor) >= (major, minor)
    }
}

impl FromStr for Release {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let malformed = || format!("`{text}` is not a release such as {NEWEST}");
        // The text becomes part of paths and of a pom.
        if !text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-')
        {
            return Err(malformed());
        }
        let mut numbers = text.split('.').map(str::parse::<u32>);
        match (numbers.next(), numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor)), Some(_)) => Ok(Self {
                text: text.to_owned(),
                major,
                minor,
            }),
            _ => Err(malformed()),
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The directory with the release's jars and everything that they need, fetched if it is not there yet.
///
/// The caller holds [`lock`], so that two commands do not fetch into one directory.
pub(crate) fn fetch(release: &Release) -> Result<PathBuf> {
    fetch_into(release, release.text.clone(), &pom(release, NODE))
}

/// The directory with the release's command-line tools and everything that they need, likewise.
pub(crate) fn fetch_tools(release: &Release) -> Result<PathBuf> {
    fetch_into(release, format!("{release}-tools"), &pom(release, TOOLS))
}

fn fetch_into(release: &Release, name: String, pom: &str) -> Result<PathBuf> {
    let dir = paths::target_dir().join("kafka-jars").join(&name);
    // The pom lies among the jars: a directory that has this very pom is one that Maven has filled.
    if fs::read_to_string(dir.join("pom.xml")).is_ok_and(|found| found == pom) {
        return Ok(dir);
    }
    eprintln!("fetching the jars of Kafka {release}");
    let part = dir.with_file_name(format!("{name}.part"));
    clear(&part)?;
    fs::create_dir_all(&part).with_context(|| format!("cannot make {}", part.display()))?;
    fs::write(part.join("pom.xml"), pom)?;
    let mut maven = Command::new("mvn");
    // -U: a failure that Maven remembers must not outlive its cause.
    maven.args([
        "-q",
        "-B",
        "-U",
        "dependency:copy-dependencies",
        "-DincludeScope=runtime",
    ]);
    maven.arg("-f").arg(part.join("pom.xml"));
    maven.arg(format!("-DoutputDirectory={}", part.display()));
    let output = output(&mut maven)?;
    if !output.status.success() {
        clear(&part)?;
        bail!(
            "Maven could not fetch Kafka {release} ({}):\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    clear(&dir)?;
    fs::rename(&part, &dir)
        .with_context(|| format!("cannot rename {} to {}", part.display(), dir.display()))?;
    Ok(dir)
}

/// Keeps other commands away from the fetched jars and compiled classes until the file is dropped.
pub(crate) fn lock() -> Result<File> {
    let dir = paths::target_dir();
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let path = dir.join("kafka-jars.lock");
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    file.lock()
        .with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

/// Runs a program to its end; one that is not there is an error that says how to install it.
pub(crate) fn output(command: &mut Command) -> Result<Output> {
    command
        .output()
        .map_err(|error| explain(error, command.get_program()))
}

/// Turns "no such file" into the command that installs the program.
pub(crate) fn explain(error: std::io::Error, program: &OsStr) -> anyhow::Error {
    let name = program.to_string_lossy();
    if error.kind() != ErrorKind::NotFound {
        return anyhow::Error::new(error).context(format!("cannot run {name}"));
    }
    let package = if name.ends_with("mvn") {
        "maven"
    } else {
        "openjdk-17-jdk-headless"
    };
    anyhow::anyhow!(
        "there is no `{name}`; install it with `apt-get install {package}`, or with your system's own packages"
    )
}

/// Removes a directory, if it is there.
pub(crate) fn clear(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", dir.display()))
        }
        _ => Ok(()),
    }
}

/// Kafka itself. kafka-tools-api is not published for every release, and nothing of it is needed here.
const NODE: [&str; 2] = [
    "kafka_2.13",
    "
      <exclusions>
        <exclusion>
          <groupId>org.apache.kafka</groupId>
          <artifactId>kafka-tools-api</artifactId>
        </exclusion>
      </exclusions>",
];

/// The command-line tools.
const TOOLS: [&str; 2] = ["kafka-tools", ""];

fn pom(release: &Release, [artifact, exclusions]: [&str; 2]) -> String {
    // slf4j-nop keeps the logging facade from complaining on standard error that nobody listens.
    format!(
        r#"<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>kwire</groupId>
  <artifactId>kafka-jars</artifactId>
  <version>{release}</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>{artifact}</artifactId>
      <version>{release}</version>{exclusions}
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-nop</artifactId>
      <version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"#
    )
}

#[cfg(test)]
mod tests {
    use super::Release;

    #[test]
    fn releases_compare_by_number() {
        let release: Release = "10.0.1".parse().unwrap();
        assert!(release.is_at_least(4, 3));
        assert!(!"4.2.9".parse::<Release>().unwrap().is_at_least(4, 3));
        assert!("4.3.0-rc1".parse::<Release>().unwrap().is_at_least(4, 3));
    }

    #[test]
    fn what_is_no_release_is_refused() {
        for text in ["", "4", "4.4", "../4.4.0", "4.4.0/", "<4>.4.0", "v4.4.0"] {
            assert!(text.parse::<Release>().is_err(), "{text}");
        }
    }
}
