//! A schema file's text, with its lines, comments taken out and values read as Jackson reads them.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::SchemaError;

/// The text of one schema file. Comments are blanked, so that offsets and lines stay true.
pub(crate) struct Source {
    path: PathBuf,
    text: String,
    /// Where the lines begin, but for the first.
    lines: Vec<usize>,
}

impl Source {
    pub(crate) fn new(path: &Path, text: &str) -> Source {
        let text = blank_comments(text);
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Source {
            path: path.to_owned(),
            lines: ends.map(|(at, _)| at + 1).collect(),
            text,
        }
    }

    /// The first JSON value; whatever follows it is ignored, as Jackson does
    /// (2.8.2's DescribeProducersRequest.json has text after its closing brace).
    pub(crate) fn root(&self) -> Result<&RawValue, SchemaError> {
        let mut values = serde_json::Deserializer::from_str(&self.text).into_iter::<&RawValue>();
        match values.next() {
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) => Err(self.error(
                error.line().max(1),
                "",
                &format!("not JSON ({error})"),
                "mend the syntax",
            )),
            None => Err(self.error(1, "", "the file is empty", "write a JSON object")),
        }
    }

    /// The line on which `part` of this text begins, counted from 1.
    pub(crate) fn line_of(&self, part: &str) -> usize {
        let offset = (part.as_ptr() as usize).wrapping_sub(self.text.as_ptr() as usize);
        if offset > self.text.len() {
            return 1;
        }
        self.lines.partition_point(|start| *start <= offset) + 1
    }

    /// Reads an object that has no keys but those `known`. With it comes its path: `parent` and
    /// the object's name, as far as they are there.
    pub(crate) fn object<'a>(
        &'a self,
        raw: &'a RawValue,
        parent: &str,
        known: &[&str],
    ) -> Result<(Object<'a>, String), SchemaError> {
        let object: Object<'a> = serde_json::from_str(raw.get()).map_err(|_| {
            let line = self.line_of(raw.get());
            let remedy = "write one, as the other schemas have it";
            self.error(line, parent, "not an object", remedy)
        })?;
        let path = match object.get("name").and_then(text_of) {
            Some(name) if parent.is_empty() => name,
            Some(name) => format!("{parent}.{name}"),
            None => parent.to_owned(),
        };
        match object
            .0
            .iter()
            .find(|(key, _)| !known.contains(&key.as_str()))
        {
            None => Ok((object, path)),
            Some((key, value)) => Err(self.error(
                self.line_of(value.get()),
                &path,
                &format!("unknown key \"{key}\""),
                &format!("remove it, or use one of {}", known.join(", ")),
            )),
        }
    }

    pub(crate) fn error(
        &self,
        line: usize,
        field: &str,
        problem: &str,
        remedy: &str,
    ) -> SchemaError {
        let stem = self.path.file_stem().unwrap_or_default();
        SchemaError {
            file: self.path.clone(),
            line,
            field: if field.is_empty() {
                stem.to_string_lossy().into_owned()
            } else {
                field.to_owned()
            },
            problem: problem.to_owned(),
            remedy: remedy.to_owned(),
        }
    }
}

/// An object's keys and values. A key may be there twice (4.4.0's DescribeTopicPartitionsRequest
/// has such a field); the last one counts, as in Jackson.
pub(crate) struct Object<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Object<'a> {
    /// The value of a key; a JSON null is no value.
    pub(crate) fn get(&self, key: &str) -> Option<&'a RawValue> {
        let (_, value) = self.0.iter().rfind(|(other, _)| other == key)?;
        (value.get() != "null").then_some(*value)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> serde::de::Visitor<'de> for ObjectVisitor {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Object(pairs))
    }
}

/// Replaces `//` and `/* */` comments outside strings by spaces. One that is never closed stays,
/// for JSON's reader to stumble over where it begins.
fn blank_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut in_string = false;
    while let Some(c) = rest.chars().next() {
        if in_string {
            let taken = if c == '\\' {
                1 + rest[1..].chars().next().map_or(0, char::len_utf8)
            } else {
                c.len_utf8()
            };
            in_string = c != '"';
            out.push_str(&rest[..taken]);
            rest = &rest[taken..];
        } else if rest.starts_with("//") || rest.starts_with("/*") {
            let end = if rest.starts_with("//") {
                rest.find('\n').unwrap_or(rest.len())
            } else {
                // The star that opens the comment does not close it.
                match rest[2..].find("*/") {
                    Some(at) => at + 4,
                    None => {
                        out.push_str(rest);
                        break;
                    }
                }
            };
            let (comment, after) = rest.split_at(end);
            // One space a byte keeps offsets; line ends stay.
            out.extend(comment.bytes().map(|b| if b == b'\n' { '\n' } else { ' ' }));
            rest = after;
        } else {
            in_string = c == '"';
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

/// A string, or a number or boolean as its text: Jackson turns either into a string.
pub(crate) fn text_of(raw: &RawValue) -> Option<String> {
    match serde_json::from_str::<serde_json::Value>(raw.get()).ok()? {
        serde_json::Value::String(text) => Some(text),
        value @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_)) => {
            Some(value.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_blanked_and_lines_kept() {
        let text = "// é\n{ \"a\": \"// no\", /* x\ny */ \"b\\\"//\": 1 } trailing";
        let blanked = blank_comments(text);
        assert_eq!(blanked.len(), text.len());
        assert_eq!(blanked.lines().count(), text.lines().count());
        assert!(blanked.contains("\"// no\""));
        assert!(blanked.contains("\"b\\\"//\""));
        assert!(!blanked.contains('x'));
        assert_eq!(blank_comments("/*/ 1 */ 2"), "         2");
    }

    #[test]
    fn trailing_text_is_ignored() {
        let source = Source::new(Path::new("X.json"), "{ \"a\": 1 } and more");
        assert_eq!(source.root().unwrap().get(), "{ \"a\": 1 }");
    }
}
