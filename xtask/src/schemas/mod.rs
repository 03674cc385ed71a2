//! `cargo xtask schemas`: Kafka's schemas out of its jars, merged over releases.

mod jars;
mod layout;
mod merge;
mod normal;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use kwire_codegen::Versions;
use kwire_codegen::emit::{Options, emit};
use kwire_codegen::model::{Docs, resolve};
use kwire_codegen::parse::MessageSchema;

use merge::Merged;

/// Kafka's schemas: read them out of jars and merge them into `schemas/`.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Read the schemas of jars, merge them, and write `schemas/`
    Import {
        /// A jar of Kafka, under the name that it is published with
        #[arg(long = "jar", value_name = "FILE", required = true, num_args = 1..)]
        jars: Vec<PathBuf>,
    },
    /// Fetch the jars with Maven, then import them
    Update,
    /// Read the schemas of releases as they are in the jars, and generate from them
    Upstream,
}

/// The releases from which the schemas come: the newest, and the last one with the versions
/// that 4.0 dropped (KIP-896).
const RELEASES: [&str; 2] = ["3.9.2", crate::jars::NEWEST];

/// Runs `cargo xtask schemas`.
pub(crate) fn run(command: Command) -> Result<()> {
    match command {
        Command::Import { jars } => import(&jars),
        Command::Update => {
            let _lock = crate::jars::lock()?;
            let mut files = Vec::new();
            for release in RELEASES {
                files.extend(kafka_jars(release)?);
            }
            import(&files)
        }
        Command::Upstream => {
            let _lock = crate::jars::lock()?;
            crate::jars::RELEASES
                .iter()
                .try_for_each(|release| upstream(release))
        }
    }
}

/// Fetches the jars of a release, and gives those that are Kafka's own, in the order of their names.
fn kafka_jars(release: &str) -> Result<Vec<PathBuf>> {
    let release = release.parse().map_err(anyhow::Error::msg)?;
    let mut files = Vec::new();
    for entry in fs::read_dir(crate::jars::fetch(&release)?)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("kafka") && name.ends_with(".jar") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Shows that the generator takes a release's own schemas: comments, quoted tags and all.
fn upstream(release: &str) -> Result<()> {
    let mut schemas = Vec::new();
    for jar in kafka_jars(release)? {
        schemas.extend(jars::schemas(&jar)?);
    }
    if release.starts_with("2.") {
        schemas
            .iter_mut()
            .for_each(MessageSchema::assume_before_3_0);
    }
    let messages = resolve(&schemas, &Docs::default())?;
    let files = emit(&messages, &Options::default())?;
    let lines: usize = files.iter().map(|file| file.text.lines().count()).sum();
    println!(
        "Kafka {release}: {} schemas, {lines} lines of Rust",
        schemas.len()
    );
    Ok(())
}

/// Where the merged schemas are kept.
pub(crate) const SCHEMAS_DIR: &str = "schemas";

/// Reads the schemas of the jars and writes the merged ones to `schemas/`.
///
/// The release of a jar is in its name. The newest release wins where several have a version.
fn import(jars: &[PathBuf]) -> Result<()> {
    let mut releases: BTreeMap<jars::Release, BTreeMap<String, MessageSchema>> = BTreeMap::new();
    for jar in jars {
        let release = jars::release_of(jar)?;
        let schemas = releases.entry(release).or_default();
        for schema in jars::schemas(jar)? {
            schemas.insert(schema.name.clone(), schema);
        }
    }
    if releases.values().all(BTreeMap::is_empty) {
        bail!(
            "there are no schemas in these jars: give Kafka's clients, metadata, raft, storage and coordinator jars"
        );
    }
    let merged = merge::merge(&releases)?;
    write(Path::new(SCHEMAS_DIR), &merged)?;
    println!("{} schemas written to {SCHEMAS_DIR}/", merged.len());
    Ok(())
}

fn write(dir: &Path, merged: &[Merged]) -> Result<()> {
    fs::create_dir_all(dir)?;
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let stale = path
            .extension()
            .is_some_and(|extension| extension == "json")
            && !merged.iter().any(|merged| merged.schema.name == name);
        if stale {
            fs::remove_file(&path)?;
        }
    }
    for Merged { schema, .. } in merged {
        let path = dir.join(format!("{}.json", schema.name));
        fs::write(&path, normal::text(schema)).with_context(|| path.display().to_string())?;
    }
    fs::write(dir.join("SOURCES.md"), sources(merged))?;
    Ok(())
}

/// `SOURCES.md`: which release each range of versions comes from.
fn sources(merged: &[Merged]) -> String {
    let mut text = String::from(
        "# Where the schemas come from\n\n\
         Written by `cargo xtask schemas import` from the schema files in Apache Kafka's jars, which are under the Apache License 2.0.\n\
         Kept are facts only: names, types, versions, tags, nullability, defaults and flags.\n\
         The newest release wins where several have a version; an older one supplies what the newest has dropped.\n\
         `deprecatedVersions` are those that the newest release no longer has.\n\n\
         | schema | versions and their release |\n|---|---|\n",
    );
    for Merged { schema, sources } in merged {
        let ranges: Vec<String> = sources
            .iter()
            .map(|(versions, release)| format!("{versions}: {release}"))
            .collect();
        text.push_str(&format!("| {} | {} |\n", schema.name, ranges.join(", ")));
    }
    text
}

/// All versions from a message's lowest on: what its newest source may speak for.
fn from_lowest(versions: Versions) -> Versions {
    Versions::new(versions.lowest(), i16::MAX)
}
