//! Versions of dependencies below which they have a fault with a name.

use std::path::Path;

/// Fails if a version in the lock file, or what the manifests ask for, is below the floor.
pub(crate) fn at_least(name: &str, floor: &str) {
    assert!(absent_or_at_least(name, floor) > 0, "{name} is not there");
}

/// The same for what need not be there; gives how many versions of it are.
pub(crate) fn absent_or_at_least(name: &str, floor: &str) -> usize {
    let versions = locked(name);
    for version in &versions {
        assert!(
            numbers(version) >= numbers(floor),
            "{name} {version} is below {floor}"
        );
    }
    if let Some(asked) = asked(name) {
        assert!(
            numbers(&asked) >= numbers(floor),
            "Cargo.toml asks for {name} {asked}"
        );
    }
    versions.len()
}

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The versions in the lock file.
fn locked(name: &str) -> Vec<String> {
    let text = read("Cargo.lock");
    let header = format!("name = \"{name}\"");
    let lines: Vec<&str> = text.lines().collect();
    let pairs = lines.windows(2).filter(|pair| pair[0] == header);
    pairs.map(|pair| quoted(pair[1])).collect()
}

/// What the workspace asks for at least, if it asks for the crate itself.
fn asked(name: &str) -> Option<String> {
    let text = read("Cargo.toml");
    let start = format!("{name} = ");
    let line = text.lines().find(|line| line.starts_with(&start))?;
    Some(quoted(
        line.split_once("version = ").map_or(line, |(_, rest)| rest),
    ))
}

/// The first text in quotes.
fn quoted(line: &str) -> String {
    line.split('"').nth(1).unwrap_or_default().to_owned()
}

fn numbers(version: &str) -> Vec<u64> {
    let plain = version.split(['+', '-']).next().unwrap_or_default();
    plain
        .split('.')
        .map(|part| part.parse().expect("a number"))
        .collect()
}
