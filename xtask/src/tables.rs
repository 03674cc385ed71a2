//! `cargo xtask tables`: the tables that Kafka keeps in code rather than in schemas.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};

use crate::jars::{NEWEST, RELEASES, Release};
use crate::java::Java;
use crate::paths;

/// A value that fits in so many columns is printed on one line.
const WIDTH: usize = 160;

/// Rebuild the checked-in tables of errors, features and APIs from Kafka's own classes.
///
/// Needs a JDK (17 or later) and Maven.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write nothing; fail if a table is stale.
    #[arg(long)]
    check: bool,
}

/// Runs the command.
pub(crate) fn run(args: Args) -> Result<()> {
    let mut stale = Vec::new();
    for (path, text) in tables()? {
        let full = paths::workspace_root().join(&path);
        if fs::read_to_string(&full).is_ok_and(|found| found == text) {
            continue;
        }
        if args.check {
            stale.push(path);
            continue;
        }
        write(&full, &text)?;
        println!("wrote {path}");
    }
    if !stale.is_empty() {
        bail!("stale: {}; run `cargo xtask tables`", stale.join(", "));
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Every table: its path in the workspace, and its text.
fn tables() -> Result<Vec<(String, String)>> {
    let mut out = Vec::new();
    for name in RELEASES {
        let release: Release = name.parse().map_err(anyhow::Error::msg)?;
        let printed = Java::for_release(&release)?.read("Tables", ["--kafka", name])?;
        let all: Value = serde_json::from_slice(&printed)
            .context("the Java program Tables did not print JSON")?;
        out.push((
            format!("protocol/tests/fixtures/java/apis-{name}.json"),
            table(&all, "apis")?,
        ));
        if name == NEWEST {
            out.push((
                "protocol/tables/errors.json".to_owned(),
                table(&all, "errors")?,
            ));
            out.push((
                "protocol/tables/features.json".to_owned(),
                table(&all, "features")?,
            ));
        }
    }
    Ok(out)
}

/// One of the tables, with the release that it was taken from.
fn table(all: &Value, name: &str) -> Result<String> {
    ensure!(
        all[name].is_array(),
        "Kafka {} has no table of {name}",
        all["kafka"]
    );
    let mut out = Map::new();
    for member in ["kafka", name] {
        out.insert(member.to_owned(), all[member].clone());
    }
    let mut text = String::new();
    print(&Value::Object(out), 0, &mut text);
    text.push('\n');
    Ok(text)
}

/// Prints what fits on one line on one line, so that a row of a table is a line of the file.
fn print(value: &Value, indent: usize, out: &mut String) {
    let line = on_one_line(value);
    if indent > 0 && indent + line.len() <= WIDTH {
        out.push_str(&line);
        return;
    }
    match value {
        Value::Array(elements) => {
            print_members(
                elements.iter().map(|element| (None, element)),
                ['[', ']'],
                indent,
                out,
            );
        }
        Value::Object(members) => {
            print_members(
                members.iter().map(|(name, member)| (Some(name), member)),
                ['{', '}'],
                indent,
                out,
            );
        }
        _ => out.push_str(&line),
    }
}

fn print_members<'a>(
    members: impl Iterator<Item = (Option<&'a String>, &'a Value)>,
    [open, close]: [char; 2],
    indent: usize,
    out: &mut String,
) {
    out.push(open);
    for (number, (name, member)) in members.enumerate() {
        out.push_str(if number == 0 { "\n" } else { ",\n" });
        out.push_str(&" ".repeat(indent + 2));
        if let Some(name) = name {
            out.push_str(&format!("{}: ", Value::from(name.as_str())));
        }
        print(member, indent + 2, out);
    }
    out.push('\n');
    out.push_str(&" ".repeat(indent));
    out.push(close);
}

fn on_one_line(value: &Value) -> String {
    match value {
        Value::Array(elements) => format!(
            "[{}]",
            elements
                .iter()
                .map(on_one_line)
                .collect::<Vec<_>>()
                .join(", ")
        ),
        Value::Object(members) if members.is_empty() => "{}".to_owned(),
        Value::Object(members) => {
            let members = members.iter().map(|(name, member)| {
                format!("{}: {}", Value::from(name.as_str()), on_one_line(member))
            });
            format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
        }
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{WIDTH, print};

    fn printed(value: &Value) -> String {
        let mut out = String::new();
        print(value, 0, &mut out);
        out
    }

    #[test]
    fn rows_that_fit_are_lines() {
        let value = json!({ "kafka": "1.0", "rows": [{ "code": 1, "tags": [], "more": {} }, { "code": 2, "name": "x".repeat(WIDTH - 30) }] });
        let text = printed(&value);
        assert!(text.starts_with("{\n  \"kafka\": \"1.0\",\n  \"rows\": [\n    { \"code\": 1, \"tags\": [], \"more\": {} },\n    { \"code\": 2, "));
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    #[test]
    fn rows_that_do_not_fit_are_broken() {
        let value = json!([{ "a": "x".repeat(WIDTH), "b": [1, 2] }]);
        let text = printed(&value);
        assert!(text.ends_with("    \"b\": [1, 2]\n  }\n]"), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
