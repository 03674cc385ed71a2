//! What a quickstart shows: a block that is drawn again and again on a terminal, lines elsewhere.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use crossterm::cursor::{MoveToColumn, MoveUp};
use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers};
use crossterm::terminal::{Clear, ClearType, disable_raw_mode, enable_raw_mode};

use crate::output::counted;
use crate::status::{LEADER, Report, Status};

/// A node as it is shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    pub(super) id: usize,
    pub(super) is_running: bool,
    pub(super) status: Option<Status>,
}

/// Everything that is shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Picture {
    pub(super) rows: Vec<Row>,
    pub(super) report: Option<Report>,
    pub(super) acknowledged: u64,
    pub(super) kills: u32,
    pub(super) longest_without_leader: Duration,
    pub(super) last_event: String,
}

impl Picture {
    /// Whether a node said last that it leads.
    pub(super) fn is_leader(&self, id: usize) -> bool {
        let status = self.rows[id - 1].status.as_ref();
        status.is_some_and(|status| status.role == LEADER)
    }
}

/// A key that means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// Kill this node, or start it again.
    Node(usize),
    /// Stop.
    Quit,
}

/// Where a picture goes.
pub(super) enum View {
    /// A terminal that reads keys; so many lines were drawn.
    Live { drawn: u16 },
    /// Anything else.
    Lines { next: Instant },
}

impl View {
    pub(super) fn new() -> View {
        let is_terminal = io::stdout().is_terminal() && io::stdin().is_terminal();
        if is_terminal && enable_raw_mode().is_ok() {
            return View::Live { drawn: 0 };
        }
        View::Lines {
            next: Instant::now() + Duration::from_secs(1),
        }
    }

    /// Whether there is somebody to press keys.
    pub(super) fn is_live(&self) -> bool {
        matches!(self, View::Live { .. })
    }

    /// Waits a moment for a key.
    pub(super) fn key(&self, patience: Duration) -> io::Result<Option<Key>> {
        if !self.is_live() {
            std::thread::sleep(patience);
            return Ok(None);
        }
        if !crossterm::event::poll(patience)? {
            return Ok(None);
        }
        let Event::Key(key) = crossterm::event::read()? else {
            return Ok(None);
        };
        if key.kind != KeyEventKind::Press {
            return Ok(None);
        }
        Ok(match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Key::Quit),
            KeyCode::Char('q') => Some(Key::Quit),
            KeyCode::Char(digit) => digit.to_digit(10).map(|digit| Key::Node(digit as usize)),
            _ => None,
        })
    }

    /// Shows a picture, if it is time to.
    pub(super) fn show(&mut self, picture: &Picture, out: &mut dyn Write) -> io::Result<()> {
        match self {
            View::Live { drawn } => {
                if *drawn > 0 {
                    write!(out, "{}", MoveUp(*drawn))?;
                }
                write!(
                    out,
                    "{}{}",
                    MoveToColumn(0),
                    Clear(ClearType::FromCursorDown)
                )?;
                let lines = block(picture);
                for line in &lines {
                    // A terminal in raw mode needs both.
                    write!(out, "{line}\r\n")?;
                }
                *drawn = u16::try_from(lines.len()).unwrap_or(0);
                out.flush()
            }
            View::Lines { next } if Instant::now() >= *next => {
                *next += Duration::from_secs(1);
                writeln!(out, "{}", line(picture))?;
                out.flush()
            }
            View::Lines { .. } => Ok(()),
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        if self.is_live() {
            // Nothing is left to be done if the terminal is gone.
            let _ = disable_raw_mode();
        }
    }
}

fn block(picture: &Picture) -> Vec<String> {
    let mut lines = vec![format!(
        "{:>4}  {:<11} {:>6} {:>15} {:>15} {:>8}",
        "node", "role", "epoch", "high watermark", "log end", "lag"
    )];
    let end = leaders_end(picture);
    for row in &picture.rows {
        lines.push(match &row.status {
            Some(status) if row.is_running => format!(
                "{:>4}  {:<11} {:>6} {:>15} {:>15} {:>8}",
                row.id,
                status.role,
                status.epoch,
                status.high_watermark.map_or("-".to_owned(), grouped),
                grouped(status.log_end_offset),
                end.map_or("-".to_owned(), |end| grouped(
                    (end - status.log_end_offset).max(0)
                ))
            ),
            _ if row.is_running => format!("{:>4}  starting", row.id),
            _ => format!("{:>4}  killed", row.id),
        });
    }
    lines.push(rates(picture));
    lines.push(totals(picture));
    lines.push(picture.last_event.clone());
    lines
}

fn line(picture: &Picture) -> String {
    let nodes: Vec<String> = picture
        .rows
        .iter()
        .map(|row| match &row.status {
            Some(status) if row.is_running => {
                let committed = status
                    .high_watermark
                    .map_or("-".to_owned(), |w| w.to_string());
                format!("{} {} {} {committed}", row.id, status.role, status.epoch)
            }
            _ if row.is_running => format!("{} starting", row.id),
            _ => format!("{} killed", row.id),
        })
        .collect();
    format!(
        "{} | {} | {}",
        nodes.join(", "),
        rates(picture),
        totals(picture)
    )
}

fn leaders_end(picture: &Picture) -> Option<i64> {
    let running = picture.rows.iter().filter(|row| row.is_running);
    let statuses = running.filter_map(|row| row.status.as_ref());
    let leader = statuses.filter(|status| status.role == LEADER);
    Some(leader.max_by_key(|status| status.epoch)?.log_end_offset)
}

fn rates(picture: &Picture) -> String {
    let Some(report) = &picture.report else {
        // The leader says how fast it is at the end of a while.
        let yet = match picture.acknowledged {
            0 => "nothing acknowledged yet",
            _ => "no rates yet",
        };
        return yet.to_owned();
    };
    format!(
        "{} records/s, {:.2} MB/s, committed within {:.1} ms p50, {:.1} ms p99, {:.1} ms p999",
        grouped(report.records_per_second.round() as i64),
        report.bytes_per_second / 1e6,
        report.p50_ms,
        report.p99_ms,
        report.p999_ms
    )
}

fn totals(picture: &Picture) -> String {
    let records = i64::try_from(picture.acknowledged).unwrap_or(i64::MAX);
    let mut text = format!(
        "{} {} acknowledged",
        grouped(records),
        if records == 1 { "record" } else { "records" }
    );
    if picture.kills > 0 {
        text += &format!(
            ", {}, at most {} ms without a leader",
            counted(picture.kills.into(), "kill"),
            picture.longest_without_leader.as_millis()
        );
    }
    text
}

/// A number with commas.
pub(super) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 {
        text.insert(0, '-');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(-1_234), "-1,234");
        assert_eq!(grouped(123_456), "123,456");
        assert_eq!(grouped(i64::MAX), "9,223,372,036,854,775,807");
    }

    #[test]
    fn the_lag_is_behind_the_leader_of_the_newest_epoch() {
        let status = |role: &str, epoch, end| {
            Some(Status {
                role: role.to_owned(),
                epoch,
                leader: Some(1),
                high_watermark: Some(5),
                log_end_offset: end,
                acknowledged: None,
            })
        };
        let row = |id, status| Row {
            id,
            is_running: true,
            status,
        };
        let picture = Picture {
            rows: vec![
                row(1, status("leader", 3, 1_100)),
                row(2, status("leader", 2, 900)),
                row(3, status("follower", 3, 1_000)),
            ],
            ..Picture::default()
        };
        let lines = block(&picture);
        assert!(lines[3].ends_with("1,000      100"), "{}", lines[3]);
        assert!(line(&picture).starts_with("1 leader 3 5, 2 leader 2 5, 3 follower 3 5 | "));
    }

    #[test]
    fn what_is_acknowledged_is_not_denied() {
        let picture = Picture::default();
        let nothing = " | nothing acknowledged yet | 0 records acknowledged";
        assert_eq!(line(&picture), nothing);
        let picture = Picture {
            acknowledged: 717_824,
            ..Picture::default()
        };
        assert_eq!(
            line(&picture),
            " | no rates yet | 717,824 records acknowledged"
        );
    }
}
