//! What the figures were measured on and with.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

/// The machine in a line: processor, cores, memory, kernel. What cannot be found out is left out.
pub(super) fn describe() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let value = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, |cores| cores.get());
    let memory = value(&read("/proc/meminfo"), "MemTotal")
        .and_then(|kib| kib.split_whitespace().next()?.parse::<u64>().ok())
        .map(|kib| format!("{:.0} GiB", kib as f64 / f64::from(1 << 20)));
    let kernel = read("/proc/sys/kernel/osrelease");
    let kernel = (!kernel.is_empty()).then(|| format!("Linux {}", kernel.trim()));
    let parts = [
        value(&read("/proc/cpuinfo"), "model name"),
        Some(format!("{cores} cores")),
        memory,
        kernel,
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The first line that a program says, on either stream, or nothing.
pub(super) fn first_line(command: &mut Command) -> Option<String> {
    let output = command
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let said = [output.stdout, output.stderr].concat();
    let line = String::from_utf8_lossy(&said)
        .lines()
        .next()?
        .trim()
        .to_owned();
    (!line.is_empty()).then_some(line)
}

/// The versions of packages in a lock file of cargo.
pub(super) fn locked(lock: &Path, packages: &[&str]) -> Result<Vec<String>> {
    let text =
        fs::read_to_string(lock).with_context(|| format!("cannot read {}", lock.display()))?;
    let table: toml::Table = text.parse().context("cannot read the lock file")?;
    let all = table.get("package").and_then(|all| all.as_array());
    let version = |wanted: &&str| {
        all.into_iter()
            .flatten()
            .find(|package| package.get("name").and_then(|name| name.as_str()) == Some(wanted))
            .and_then(|package| package.get("version")?.as_str())
            .map(|version| format!("{wanted} {version}"))
    };
    Ok(packages.iter().filter_map(version).collect())
}

/// Today's date in UTC.
pub(super) fn today() -> String {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let (year, month, day) = civil(since.as_secs() / 86_400);
    format!("{year}-{month:02}-{day:02}")
}

/// Year, month and day of a day since 1970, by counting.
fn civil(mut days: u64) -> (u64, u64, u64) {
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let mut month = 1;
    for len in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < len {
            break;
        }
        days -= len;
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    use super::civil;

    #[test]
    fn days_are_dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(11_017), (2000, 3, 1));
        assert_eq!(civil(20_453), (2025, 12, 31));
        assert_eq!(civil(20_454), (2026, 1, 1));
    }
}
