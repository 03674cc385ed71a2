//! A recorded conversation: reading it, and finding which response answers which request.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};

use flate2::read::MultiGzDecoder;
use kwire_protocol::ApiKey;
use serde::Deserialize;

use crate::frames::{self, Frame};
use crate::input::{self, MAX_LINE};

/// One frame as it was recorded.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Recorded {
    /// Which recording it is of, if several were put together.
    #[serde(default)]
    pub(super) src: String,
    #[serde(default)]
    pub(super) phase: String,
    pub(super) conn: i64,
    /// Who was asked.
    #[serde(default)]
    pub(super) link: String,
    /// Who asked.
    #[serde(default)]
    pub(super) client: String,
    pub(super) dir: Direction,
    pub(super) corr: i32,
    pub(super) api_key: i16,
    pub(super) api_version: i16,
    /// The length of the frame, of which `hex` may have a part only.
    pub(super) len: Option<usize>,
    #[serde(default)]
    pub(super) truncated: bool,
    hex: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Direction {
    Req,
    Resp,
}

impl Recorded {
    pub(super) fn api(&self) -> String {
        ApiKey(self.api_key).to_string()
    }

    /// The message in it, or why there is none to be had.
    pub(super) fn decode(&self) -> Result<Frame, String> {
        let bytes = input::unhex(self.hex.as_bytes())?;
        let len = self.len.unwrap_or(bytes.len());
        let recorded = bytes.len();
        if len < recorded {
            return Err(format!("of {len} bytes, but {recorded} are recorded"));
        }
        if self.truncated || len > recorded {
            return Err(format!("recorded in part only, {recorded} of {len} bytes"));
        }
        if self.dir == Direction::Req {
            return frames::request(&bytes).map_err(|error| error.to_string());
        }
        let api = ApiKey(self.api_key);
        frames::response(&bytes, api, self.api_version).map_err(|error| error.to_string())
    }
}

/// A request and what answers it; one of the two may not have been recorded.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) request: Option<Recorded>,
    pub(super) response: Option<Recorded>,
}

impl Exchange {
    /// The frame that came first: the request, unless it is missing.
    pub(super) fn first(&self) -> Option<&Recorded> {
        self.request.as_ref().or(self.response.as_ref())
    }

    pub(super) fn frames(&self) -> impl Iterator<Item = &Recorded> {
        self.request.iter().chain(&self.response)
    }
}

/// All of a recording.
#[derive(Debug, Default)]
pub(super) struct Recording {
    /// In the order of their first frames.
    pub(super) exchanges: Vec<Exchange>,
    /// The first line that is no frame, by number, and why.
    pub(super) bad_line: Option<(usize, String)>,
    /// How many more there are: of a few bytes of gzip there may be any number.
    pub(super) more_bad_lines: usize,
}

/// The most bytes that a gzipped recording may unpack to. A plain one takes no more memory than its
/// file calls for.
const MAX_UNPACKED: usize = 256 << 20;

/// After so many lines that are no frames the rest is not read: it is no recording.
pub(super) const MAX_BAD_LINES: usize = 10_000;

impl Recording {
    /// Reads JSON lines, plain or gzipped.
    pub(super) fn read(bytes: &[u8]) -> Recording {
        Recording::read_lines(bytes, MAX_LINE, MAX_UNPACKED)
    }

    /// A small file may unpack to one line without an end, or to any number of lines, so both have
    /// a limit.
    fn read_lines(bytes: &[u8], max_line: usize, max_unpacked: usize) -> Recording {
        let (reader, mut left): (Box<dyn Read + '_>, usize) = if bytes.starts_with(&[0x1f, 0x8b]) {
            (Box::new(MultiGzDecoder::new(bytes)), max_unpacked)
        } else {
            (Box::new(bytes), usize::MAX)
        };
        let mut recording = Recording::default();
        // The requests that wait for an answer, by connection and correlation id.
        let mut open: HashMap<(String, i64, i32), usize> = HashMap::new();
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        for at in 0.. {
            line.clear();
            let mut part = (&mut reader).take(max_line as u64 + 1);
            match part.read_until(b'\n', &mut line) {
                Ok(0) => break,
                Ok(_) if line.len() > max_line => {
                    let message = format!("a line of more than {max_line} bytes");
                    recording.bad(at + 1, message);
                    break;
                }
                Ok(len) if len > left => {
                    let message = format!("the file unpacks to more than {max_unpacked} bytes");
                    recording.bad(at + 1, message);
                    break;
                }
                Ok(len) => left -= len,
                Err(error) => {
                    recording.bad(at + 1, error.to_string());
                    break;
                }
            }
            if line.trim_ascii().is_empty() {
                continue;
            }
            let frame: Recorded = match serde_json::from_slice(&line) {
                Ok(frame) => frame,
                Err(error) => {
                    recording.bad(at + 1, error.to_string());
                    if recording.more_bad_lines == MAX_BAD_LINES {
                        break;
                    }
                    continue;
                }
            };
            let key = (frame.src.clone(), frame.conn, frame.corr);
            match frame.dir {
                Direction::Req => {
                    open.insert(key, recording.exchanges.len());
                    recording.exchanges.push(Exchange {
                        request: Some(frame),
                        response: None,
                    });
                }
                Direction::Resp => {
                    let asked = open.remove(&key);
                    match asked.and_then(|at| recording.exchanges.get_mut(at)) {
                        Some(exchange) => exchange.response = Some(frame),
                        None => recording.exchanges.push(Exchange {
                            request: None,
                            response: Some(frame),
                        }),
                    }
                }
            }
        }
        recording
    }

    fn bad(&mut self, line: usize, why: String) {
        if self.bad_line.is_none() {
            self.bad_line = Some((line, why));
        } else {
            self.more_bad_lines += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    const FRAME: &str = r#"{"conn":1,"dir":"req","corr":1,"apiKey":18,"apiVersion":0,"hex":""}"#;

    fn packed(text: &str) -> Vec<u8> {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(text.as_bytes()).unwrap();
        packed.finish().unwrap()
    }

    #[test]
    fn endless_lines_are_not_unpacked() {
        let text = format!("{FRAME}\n{}", "0".repeat(10_000));
        for bytes in [text.as_bytes(), &packed(&text)] {
            let recording = Recording::read_lines(bytes, 200, MAX_UNPACKED);
            assert_eq!(recording.exchanges.len(), 1);
            let message = "a line of more than 200 bytes".to_owned();
            assert_eq!(recording.bad_line, Some((2, message)));
        }
    }

    #[test]
    fn neither_are_endlessly_many() {
        let text = format!("{FRAME}\n").repeat(1000);
        let plain = Recording::read_lines(text.as_bytes(), 200, 1000);
        assert_eq!((plain.exchanges.len(), plain.bad_line), (1000, None));
        let recording = Recording::read_lines(&packed(&text), 200, 1000);
        let lines = 1000 / (FRAME.len() + 1);
        assert_eq!(recording.exchanges.len(), lines);
        let message = "the file unpacks to more than 1000 bytes".to_owned();
        assert_eq!(recording.bad_line, Some((lines + 1, message)));
        let bad = Recording::read_lines("x\n".repeat(1000).as_bytes(), 200, 1000);
        assert_eq!(bad.bad_line.map(|(line, _)| line), Some(1));
        assert_eq!(bad.more_bad_lines, 999);
        let bad = Recording::read("x\n".repeat(20_000).as_bytes());
        assert_eq!(bad.more_bad_lines, MAX_BAD_LINES);
    }
}
