//! Batches and records as text.

use std::io::Write;

use super::view::{BatchView, Content, HeaderView, MessageView, RecordView};
use crate::failure::Failure;
use crate::output::{self, BAD, DIM, NAME, TITLE};

/// Bytes of a key or a value that are shown unless all are asked for.
const SHORT: usize = 48;

pub(super) struct Text {
    /// Show long keys and values in full.
    pub(super) full: bool,
}

impl Text {
    pub(super) fn batch(&self, view: &BatchView, out: &mut dyn Write) -> Result<(), Failure> {
        let offsets = match view.base_offset {
            Some(base) if base == view.last_offset => format!("offset {base}"),
            Some(base) => format!("offsets {base} to {}", view.last_offset),
            None => format!("offsets up to {}", view.last_offset),
        };
        write!(
            out,
            "{TITLE}batch at byte {}: {offsets}{TITLE:#}, {} bytes, magic {}, {}, ",
            view.position, view.size, view.magic, view.compression
        )?;
        match view.crc_ok {
            true => write!(out, "crc ok")?,
            false => write!(out, "{BAD}crc WRONG{BAD:#}")?,
        }
        if view.max_timestamp != -1 {
            let time = time(view.max_timestamp);
            write!(out, ", {} {time}", view.timestamp_type)?;
        }
        if let Some(header) = &view.header {
            write!(out, "{}", header_text(header))?;
        }
        writeln!(out)?;
        for record in view.records.iter().flatten() {
            self.record(record, out)?;
        }
        match &view.error {
            Some(error) => Ok(writeln!(out, "  {BAD}{error}{BAD:#}")?),
            None => Ok(()),
        }
    }

    pub(super) fn unreadable(
        &self,
        position: usize,
        why: &str,
        out: &mut dyn Write,
    ) -> Result<(), Failure> {
        let title = format!("{TITLE}batch at byte {position}:{TITLE:#}");
        Ok(writeln!(out, "{title} {BAD}{why}{BAD:#}")?)
    }

    fn record(&self, record: &RecordView, out: &mut dyn Write) -> Result<(), Failure> {
        write!(out, "  {NAME}{}{NAME:#}", record.offset)?;
        if let Some(message) = &record.message {
            self.message(message, out)?;
            // A message that could not be decoded is shown as it is.
            if message.error.is_none() {
                return Ok(writeln!(out)?);
            }
        }
        let (key, value) = (self.content(&record.key), self.content(&record.value));
        write!(out, "  {DIM}key{DIM:#} {key}  {DIM}value{DIM:#} {value}")?;
        for (at, (key, value)) in record.headers.iter().enumerate() {
            let title = if at == 0 { "  headers" } else { "," };
            let (key, value) = (self.content(key), self.content(value));
            write!(out, "{DIM}{title}{DIM:#} {key}={value}")?;
        }
        Ok(writeln!(out)?)
    }

    fn message(&self, message: &MessageView, out: &mut dyn Write) -> Result<(), Failure> {
        if let Some(error) = &message.error {
            let name = &message.name;
            // Errors of a message have its name already.
            let error = match error.starts_with(name) {
                true => error.clone(),
                false => format!("{name}: {error}"),
            };
            return Ok(write!(out, "  {BAD}{error}{BAD:#}")?);
        }
        write!(out, "  {}", message.name)?;
        if let Some(version) = message.version {
            write!(out, " v{version}")?;
        }
        if let Some(data) = &message.data {
            write!(out, " {data}")?;
        }
        Ok(())
    }

    fn content(&self, content: &Content) -> String {
        match content {
            Content::Null => "null".to_owned(),
            Content::Text(text) if self.full || text.len() <= 2 * SHORT => format!("{text:?}"),
            Content::Text(text) => {
                let start: String = text.chars().take(SHORT).collect();
                format!("{start:?}... ({} bytes)", text.len())
            }
            Content::Bytes(bytes) if self.full || bytes.len() <= SHORT => {
                format!("0x{}", output::hex(bytes))
            }
            Content::Bytes(bytes) => {
                let start = output::hex(bytes.get(..SHORT / 2).unwrap_or_default());
                format!("0x{start}... ({} bytes)", bytes.len())
            }
        }
    }
}

fn header_text(header: &HeaderView) -> String {
    let mut text = format!(", {} record", header.record_count);
    if header.record_count != 1 {
        text.push('s');
    }
    if header.partition_leader_epoch != -1 {
        text.push_str(&format!(", leader epoch {}", header.partition_leader_epoch));
    }
    if header.producer_id != -1 {
        let (id, epoch) = (header.producer_id, header.producer_epoch);
        text.push_str(&format!(", producer {id} epoch {epoch}"));
        text.push_str(&format!(" sequence {}", header.base_sequence));
    }
    if header.transactional {
        text.push_str(", transactional");
    }
    if header.control {
        text.push_str(", control");
    }
    if let Some(horizon) = header.delete_horizon {
        text.push_str(&format!(", delete horizon {}", time(horizon)));
    }
    text
}

/// Milliseconds since 1970 as a date and time; the number itself if it is out of all years.
fn time(millis: i64) -> String {
    let days = millis.div_euclid(86_400_000);
    if !(-719_468..=2_932_896).contains(&days) {
        return millis.to_string();
    }
    // Years that begin in March have the leap day at their end.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let in_day = millis.rem_euclid(86_400_000);
    let (hours, minutes) = (in_day / 3_600_000, in_day / 60_000 % 60);
    let seconds = (in_day / 1000 % 60, in_day % 1000);
    format!(
        "{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{:02}.{:03}Z",
        seconds.0, seconds.1
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
            (i64::MAX, "9223372036854775807"),
        ] {
            assert_eq!(time(millis), text);
        }
    }
}
