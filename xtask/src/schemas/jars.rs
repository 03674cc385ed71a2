//! Schema files out of jars.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use kwire_codegen::parse::{MessageSchema, parse_message};

/// A release of Kafka, ordered by age.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Release(Vec<u32>);

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.0.iter().map(u32::to_string).collect();
        f.write_str(&parts.join("."))
    }
}

/// The release in a jar's name, such as `kafka-clients-4.4.0.jar`.
pub(crate) fn release_of(jar: &Path) -> Result<Release> {
    let stem = jar.file_stem().unwrap_or_default().to_string_lossy();
    let (_, version) = stem.rsplit_once('-').unwrap_or_default();
    let parts: Result<Vec<u32>, _> = version.split('.').map(str::parse).collect();
    parts.map(Release).map_err(|_| {
        anyhow!(
            "{}: no release in the name; keep the names that the jars are published under",
            jar.display()
        )
    })
}

/// The schemas in a jar, in the order of their files' names.
pub(crate) fn schemas(jar: &Path) -> Result<Vec<MessageSchema>> {
    let file = File::open(jar).with_context(|| jar.display().to_string())?;
    let mut archive = zip::ZipArchive::new(file).with_context(|| jar.display().to_string())?;
    let mut names = Vec::new();
    for name in archive.file_names() {
        let name = name?;
        if is_schema(&name) {
            names.push(name.into_owned());
        }
    }
    names.sort();
    let mut schemas = Vec::new();
    for name in names {
        let mut text = String::new();
        archive.by_name(&name)?.read_to_string(&mut text)?;
        schemas.push(parse_message(Path::new(&name), &text)?);
    }
    Ok(schemas)
}

/// Kafka keeps schemas under `common/message`, `common/metadata`, or the same without `common`.
fn is_schema(name: &str) -> bool {
    let name = name.strip_prefix("common/").unwrap_or(name);
    let file = name
        .strip_prefix("message/")
        .or_else(|| name.strip_prefix("metadata/"));
    file.and_then(|file| file.strip_suffix(".json"))
        .is_some_and(|stem| stem.chars().all(|c| c.is_ascii_alphanumeric()))
}
