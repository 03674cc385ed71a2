//! Java's properties files.

use std::fmt;

/// A property of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// The line that it begins in, from 1.
    pub line: usize,
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// What is wrong with a properties file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PropertyError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

impl PropertyError {
    /// An error in a line.
    pub fn new(line: usize, reason: impl Into<String>) -> PropertyError {
        let reason = reason.into();
        PropertyError { line, reason }
    }
}

impl fmt::Display for PropertyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl std::error::Error for PropertyError {}

/// The properties of a file in the order of their lines. Of two with one key the later counts in
/// Java.
pub fn read(text: &str) -> impl Iterator<Item = Result<Property, PropertyError>> {
    logical_lines(text).into_iter().map(|(line, logical)| {
        let pair = pair(&logical);
        let (key, value) = pair.map_err(|reason| PropertyError::new(line, reason))?;
        Ok(Property { line, key, value })
    })
}

/// The lines of a properties file that say something, each with the number at which it begins; those
/// that end in a backslash go on in the next.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start_matches([' ', '\t', '\x0c']);
        let (number, mut logical) = match open.take() {
            Some(open) => open,
            None if line.is_empty() || line.starts_with(['#', '!']) => continue,
            None => (index + 1, String::new()),
        };
        let backslashes = line.bytes().rev().take_while(|&byte| byte == b'\\').count();
        if backslashes % 2 == 1 {
            logical.push_str(line.get(..line.len() - 1).unwrap_or_default());
            open = Some((number, logical));
        } else {
            logical.push_str(line);
            lines.push((number, logical));
        }
    }
    lines.extend(open);
    lines
}

/// Key and value of a line: between them is `=`, `:` or white space.
fn pair(line: &str) -> Result<(String, String), &'static str> {
    let white = |c: char| matches!(c, ' ' | '\t' | '\x0c');
    let mut escape = false;
    let end = line.find(|c: char| {
        let found = !escape && (white(c) || c == '=' || c == ':');
        escape = c == '\\' && !escape;
        found
    });
    let (key, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start_matches(white);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    Ok((unescaped(key)?, unescaped(value.trim_start_matches(white))?))
}

fn unescaped(text: &str) -> Result<String, &'static str> {
    // Java's escapes are UTF-16, of which a character may take two.
    let mut units = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let c = match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('t')) => '\t',
            ('\\', Some('n')) => '\n',
            ('\\', Some('r')) => '\r',
            ('\\', Some('f')) => '\x0c',
            ('\\', Some('u')) => {
                let digits = chars.as_str().get(..4).ok_or("a \\u without four digits")?;
                let unit = u16::from_str_radix(digits, 16);
                units.push(unit.map_err(|_| "a \\u without four digits")?);
                chars = chars.as_str().get(4..).unwrap_or_default().chars();
                continue;
            }
            ('\\', Some(other)) => other,
            ('\\', None) => break,
            (plain, _) => plain,
        };
        units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16(&units).map_err(|_| "half a character")
}

/// A key or a value as a file has it.
#[must_use]
pub(super) fn escaped(text: &str, key: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for (index, c) in text.chars().enumerate() {
        match c {
            ' ' if key || index == 0 => out.push_str("\\ "),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\x0c' => out.push_str("\\f"),
            '=' | ':' | '#' | '!' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04X}"));
                }
            }
        }
    }
    out
}
