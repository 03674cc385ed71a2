//! Descriptions of messages, structs and fields, kept in a file apart from the schemas.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::error::Error;

/// One-line descriptions: by message, by struct and by field, the more specific first.
///
/// Without a file of them, what the schemas say themselves (`about`) is taken.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Docs {
    #[serde(default)]
    message: BTreeMap<String, String>,
    #[serde(default, rename = "struct")]
    structure: BTreeMap<String, String>,
    #[serde(default)]
    field: BTreeMap<String, String>,
    /// Whether a missing description is an error.
    #[serde(skip)]
    required: bool,
}

impl Docs {
    /// Reads the TOML file; from then on each message, struct and field needs a description.
    ///
    /// # Errors
    /// When the text is not TOML or has unknown tables.
    pub fn parse(text: &str) -> Result<Docs, Error> {
        let mut docs: Docs =
            toml::from_str(text).map_err(|error| Error::Docs(error.to_string()))?;
        docs.required = true;
        Ok(docs)
    }

    pub(super) fn message(&self, name: &str, about: Option<&str>) -> Result<String, Error> {
        self.find(&self.message, "message", &[name.to_owned()], about)
    }

    pub(super) fn structure(
        &self,
        message: &str,
        name: &str,
        about: Option<&str>,
    ) -> Result<String, Error> {
        let keys = [format!("{message}.{name}"), name.to_owned()];
        self.find(&self.structure, "struct", &keys, about)
    }

    pub(super) fn field(
        &self,
        message: &str,
        structure: &str,
        field: &str,
        about: Option<&str>,
    ) -> Result<String, Error> {
        let keys = [
            format!("{message}.{structure}.{field}"),
            format!("{message}.{field}"),
            field.to_owned(),
        ];
        self.find(&self.field, "field", &keys, about)
    }

    fn find(
        &self,
        table: &BTreeMap<String, String>,
        kind: &str,
        keys: &[String],
        about: Option<&str>,
    ) -> Result<String, Error> {
        if let Some(text) = keys.iter().find_map(|key| table.get(key)) {
            return Ok(text.clone());
        }
        if self.required {
            return Err(Error::Docs(format!(
                "no description: add one of {} to the table [{kind}]",
                keys.join(", ")
            )));
        }
        Ok(match (about, keys.last()) {
            (Some(about), _) => about.to_owned(),
            (None, name) => format!("The schema's `{}`.", name.map_or("", String::as_str)),
        })
    }
}
