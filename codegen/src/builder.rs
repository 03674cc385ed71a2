//! The generator for the build scripts of other crates.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::emit::{File, Json, Layout, Options, emit};
use crate::error::Error;
use crate::model::{Direction, Docs, Narrowing, resolve};
use crate::parse::{MessageSchema, parse_dir, schema_files};

/// Generates the messages of a crate's own schemas, usually from its `build.rs`.
///
/// The code goes to one file, `messages.rs` in `OUT_DIR`, with a module for each message. It is
/// made to be included:
///
/// ```text
/// pub mod messages {
///     //! The messages of the plant.
///     include!(concat!(env!("OUT_DIR"), "/messages.rs"));
/// }
/// ```
///
/// It names `kwire_protocol::runtime`, so that the crate needs `kwire-protocol` among its
/// dependencies. Nothing is written unless it changes, and files of an earlier run that are no
/// longer wanted stay.
#[derive(Clone, Debug, Default)]
#[must_use = "nothing happens before `generate`"]
pub struct Builder {
    schemas: Vec<PathBuf>,
    docs: Option<PathBuf>,
    only: Vec<String>,
    versions: BTreeMap<String, String>,
    direction: Direction,
    runtime_path: Option<String>,
    attributes: Vec<String>,
    json: bool,
    before_3_0: bool,
    layout: Option<Layout>,
    out_dir: Option<PathBuf>,
}

impl Builder {
    /// A builder with nothing to generate yet.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Adds a directory of schemas (the `*.json` files in it) or one schema file. To add
    /// several, call this several times; their order does not matter.
    pub fn schemas(mut self, path: impl Into<PathBuf>) -> Builder {
        self.schemas.push(path.into());
        self
    }

    /// A TOML file of descriptions for messages, structs and fields; then each of them needs
    /// one. Without it the documentation is what the schemas' `about` says.
    pub fn docs(mut self, file: impl Into<PathBuf>) -> Builder {
        self.docs = Some(file.into());
        self
    }

    /// Generates these APIs (`Fetch`) or messages (`FetchRequest`) alone.
    pub fn only<I>(mut self, names: I) -> Builder
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.only.extend(names.into_iter().map(Into::into));
        self
    }

    /// Generates an API or message for these versions alone, such as `12-18` or `3+`. Fields and
    /// branches for the others vanish.
    pub fn versions(mut self, name: impl Into<String>, versions: impl Into<String>) -> Builder {
        self.versions.insert(name.into(), versions.into());
        self
    }

    /// Generates requests or responses alone. Messages that are neither stay.
    pub fn direction(mut self, direction: Direction) -> Builder {
        self.direction = direction;
        self
    }

    /// Where the runtime is, if it is not `kwire_protocol::runtime`.
    pub fn runtime_path(mut self, path: impl Into<String>) -> Builder {
        self.runtime_path = Some(path.into());
        self
    }

    /// Adds an attribute to every struct, such as `#[non_exhaustive]`.
    pub fn attribute(mut self, attribute: impl Into<String>) -> Builder {
        self.attributes.push(attribute.into());
        self
    }

    /// Whether the structs can be read from Kafka's JSON. That needs the feature `json` of
    /// `kwire-protocol`.
    pub fn json(mut self, json: bool) -> Builder {
        self.json = json;
        self
    }

    /// Whether the schemas are of a release before Kafka 3.0, where no `flexibleVersions` meant
    /// none. Later generators refuse that, and so does this one unless told otherwise.
    pub fn before_3_0(mut self, before_3_0: bool) -> Builder {
        self.before_3_0 = before_3_0;
        self
    }

    /// How the code is spread over files: [`Layout::SingleFile`] if not told otherwise.
    /// [`Layout::FilePerMessage`] is for code that is checked in.
    pub fn layout(mut self, layout: Layout) -> Builder {
        self.layout = Some(layout);
        self
    }

    /// The directory to write to, if it is not `OUT_DIR`.
    pub fn out_dir(mut self, dir: impl Into<PathBuf>) -> Builder {
        self.out_dir = Some(dir.into());
        self
    }

    /// Writes the code and gives the paths of its files. In a build script, tells cargo to run
    /// it again when a schema changes.
    ///
    /// # Errors
    /// When a schema is missing or wrong, when an option asks for what is not there, or when a
    /// file cannot be written.
    pub fn generate(&self) -> Result<Vec<PathBuf>, Error> {
        if in_build_script() {
            for input in self.inputs()? {
                println!("cargo:rerun-if-changed={}", input.display());
            }
        }
        let files = self.files()?;
        let dir = self.directory()?;
        fs::create_dir_all(&dir).map_err(|source| io(&dir, source))?;
        let write = |file: File| {
            let path = dir.join(&file.name);
            if fs::read_to_string(&path).ok().as_deref() != Some(&file.text) {
                fs::write(&path, &file.text).map_err(|source| io(&path, source))?;
            }
            Ok(path)
        };
        files.into_iter().map(write).collect()
    }

    /// The generated files, not written anywhere.
    ///
    /// # Errors
    /// When a schema is missing or wrong, or when an option asks for what is not there.
    pub fn files(&self) -> Result<Vec<File>, Error> {
        if self.schemas.is_empty() {
            return Err(Error::Request(
                "there are no schemas: give a directory with `schemas`".to_owned(),
            ));
        }
        let docs = match &self.docs {
            Some(file) => {
                Docs::parse(&fs::read_to_string(file).map_err(|source| io(file, source))?)?
            }
            None => Docs::default(),
        };
        let mut schemas = Vec::new();
        for path in &self.schemas {
            schemas.extend(parse_dir(path)?);
        }
        if self.before_3_0 {
            schemas
                .iter_mut()
                .for_each(MessageSchema::assume_before_3_0);
        }
        let messages = self.narrowing()?.apply(resolve(&schemas, &docs)?)?;
        if messages.iter().all(|message| message.versions.is_empty()) {
            return Err(Error::Request(
                "no message is left: widen `only` and `direction`".to_owned(),
            ));
        }
        emit(&messages, &self.options())
    }

    /// Everything that the code depends on. A directory is there too: a schema may be added.
    fn inputs(&self) -> Result<Vec<PathBuf>, Error> {
        let mut inputs: Vec<PathBuf> = self.docs.iter().cloned().collect();
        for path in &self.schemas {
            let files = schema_files(path)?;
            inputs.extend(path.is_dir().then(|| path.clone()));
            inputs.extend(files);
        }
        Ok(inputs)
    }

    fn narrowing(&self) -> Result<Narrowing, Error> {
        let parse = |(name, text): (&String, &String)| match text.parse() {
            Ok(versions) => Ok((name.clone(), versions)),
            Err(error) => Err(Error::Request(format!("`{name}`: {error}"))),
        };
        Ok(Narrowing {
            only: self.only.clone(),
            versions: self.versions.iter().map(parse).collect::<Result<_, _>>()?,
            direction: self.direction,
        })
    }

    fn options(&self) -> Options {
        let defaults = Options::default();
        Options {
            runtime_path: self.runtime_path.clone().unwrap_or(defaults.runtime_path),
            attributes: self.attributes.clone(),
            json: if self.json { Json::Yes } else { Json::No },
            layout: self.layout.unwrap_or(Layout::SingleFile),
            ..Options::default()
        }
    }

    fn directory(&self) -> Result<PathBuf, Error> {
        if let Some(dir) = &self.out_dir {
            return Ok(dir.clone());
        }
        env::var_os("OUT_DIR").map(PathBuf::from).ok_or_else(|| {
            Error::Request(
                "there is no OUT_DIR outside of a build script: give a directory with `out_dir`"
                    .to_owned(),
            )
        })
    }
}

/// Whether cargo listens. `OUT_DIR` alone would be there for tests too.
fn in_build_script() -> bool {
    ["OUT_DIR", "HOST", "TARGET"]
        .iter()
        .all(|name| env::var_os(name).is_some())
}

fn io(path: &Path, source: std::io::Error) -> Error {
    Error::Io {
        path: path.to_owned(),
        source,
    }
}
