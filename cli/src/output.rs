//! Standard output and standard error: colours, width, words.

use std::fmt;
use std::io::{BufWriter, StdoutLock, Write};
use std::sync::LazyLock;

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::failure::Failure;
use crate::input::Form;

/// A style of standard output: nothing, unless that is a terminal that wants colours.
///
/// Output is not filtered of styles afterwards: a filter takes bytes of the data for them.
#[derive(Clone, Copy)]
pub(crate) struct Paint(Style);

/// Titles of tables and sections.
pub(crate) const TITLE: Paint = Paint(Style::new().bold());
/// Names: of APIs, messages and fields.
pub(crate) const NAME: Paint = Paint(AnsiColor::Cyan.on_default());
/// What is said in passing.
pub(crate) const DIM: Paint = Paint(Style::new().dimmed());
/// What is wrong.
pub(crate) const BAD: Paint = Paint(AnsiColor::Red.on_default());
/// All the rest.
pub(crate) const PLAIN: Paint = Paint(Style::new());

impl fmt::Display for Paint {
    /// As [`Style`] does: `{}` begins it, `{:#}` ends it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        static WANTED: LazyLock<bool> =
            LazyLock::new(|| AutoStream::choice(&std::io::stdout()) != ColorChoice::Never);
        match *WANTED {
            true => self.0.fmt(f),
            false => Ok(()),
        }
    }
}

/// Standard output with a buffer.
pub(crate) fn stdout() -> BufWriter<StdoutLock<'static>> {
    BufWriter::with_capacity(64 << 10, std::io::stdout().lock())
}

/// A number of things, of which one is named.
pub(crate) fn counted(number: u64, one: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {one}{ending}")
}

/// Says on standard error, in one line, what is wrong.
pub(crate) fn error(message: &str) {
    // Nobody is left to be told if this fails.
    let bold = AnsiColor::Red.on_default().bold();
    let _ = writeln!(
        anstream::stderr(),
        "{bold}error:{bold:#} {}",
        one_line(message)
    );
}

/// The text without line breaks and control characters, which input could smuggle in.
pub(crate) fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// How many columns the output has: of the terminal, and 100 elsewhere.
pub(crate) fn width() -> usize {
    let columns = std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok());
    let terminal = terminal_size::terminal_size_of(std::io::stdout());
    let width = terminal.map(|(width, _)| usize::from(width.0)).or(columns);
    width.unwrap_or(100).clamp(40, 140)
}

/// The text in lines of at most `width` columns, each behind `indent` spaces.
pub(crate) fn wrapped(text: &str, indent: usize, width: usize) -> String {
    let margin = " ".repeat(indent);
    let mut lines = String::new();
    let mut column = 0;
    for word in text.split_whitespace() {
        let len = word.chars().count();
        if column == 0 || column + 1 + len > width {
            if column > 0 {
                lines.push('\n');
            }
            lines.push_str(&margin);
            column = indent;
        } else {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += len;
    }
    lines
}

/// Writes JSON and a line break: over several lines, or on one.
pub(crate) fn json(out: &mut dyn Write, value: &Value, compact: bool) -> Result<(), Failure> {
    if compact {
        serde_json::to_writer(&mut *out, value)?;
    } else {
        serde_json::to_writer_pretty(&mut *out, value)?;
    }
    Ok(writeln!(out)?)
}

/// Writes bytes in their form.
pub(crate) fn bytes(out: &mut dyn Write, bytes: &[u8], form: Form) -> Result<(), Failure> {
    if form.raw {
        return Ok(out.write_all(bytes)?);
    }
    let text = if form.base64 {
        STANDARD.encode(bytes)
    } else {
        hex(bytes)
    };
    Ok(writeln!(out, "{text}")?)
}

/// The digits of the bytes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_wrapped() {
        assert_eq!(wrapped("a bb  ccc d", 2, 8), "  a bb\n  ccc d");
        assert_eq!(wrapped("", 2, 8), "");
        assert_eq!(wrapped("longerthanthat x", 1, 8), " longerthanthat\n x");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(one_line("a\nb\x1b[31m"), "a b [31m");
    }

    #[test]
    fn digits() {
        assert_eq!(hex(&[0, 0x1f, 0xff]), "001fff");
    }
}
