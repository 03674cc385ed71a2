//! Finding and reading schema files.

use std::fs;
use std::path::{Path, PathBuf};

use super::{MessageSchema, parse_message};
use crate::error::Error;

/// The schema files that `path` stands for: itself, or the `*.json` files in it if it is a
/// directory, in the order of their names. Directories inside are left alone.
///
/// # Errors
/// When there is nothing at the path, or a directory there has no schema.
pub fn schema_files(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let io = |source| Error::Io {
        path: path.to_owned(),
        source,
    };
    if !path.exists() {
        return Err(Error::Request(format!(
            "{}: there is no such file or directory: give one with schemas, relative to {}",
            path.display(),
            std::env::current_dir().map_or_else(
                |_| "the working directory".to_owned(),
                |dir| dir.display().to_string()
            ),
        )));
    }
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(io)? {
        let file = entry.map_err(io)?.path();
        if file.extension().is_some_and(|ext| ext == "json") && file.is_file() {
            files.push(file);
        }
    }
    if files.is_empty() {
        return Err(Error::Request(format!(
            "{}: the directory has no schemas: their names end in .json",
            path.display()
        )));
    }
    files.sort();
    Ok(files)
}

/// Reads the schemas of a directory, or of one file.
///
/// # Errors
/// When the path has no schemas, one cannot be read, or one is wrong.
pub fn parse_dir(path: &Path) -> Result<Vec<MessageSchema>, Error> {
    let parse = |file: PathBuf| {
        let text = fs::read_to_string(&file).map_err(|source| Error::Io {
            path: file.clone(),
            source,
        })?;
        Ok(parse_message(&file, &text)?)
    };
    schema_files(path)?.into_iter().map(parse).collect()
}
