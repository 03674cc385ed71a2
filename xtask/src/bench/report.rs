//! The tables.

use std::fmt::Write as _;

use anyhow::Result;

use super::figures::{Case, Figures, mean};
use super::{benches_dir, machine};

/// A run of the codec's contestants.
pub(super) struct Run<'a> {
    pub(super) cases: &'a [Case],
    pub(super) figures: &'a Figures,
    /// The same for kwire alone, with an allocator that has not learnt.
    pub(super) cold: &'a Figures,
    /// The contestants in other languages, with their versions.
    pub(super) others: &'a [String],
    /// Why contestants are left out.
    pub(super) missing: &'a [String],
    pub(super) command: &'a str,
    pub(super) minutes: f64,
}

const KWIRE: &str = "kwire";
const BY_HAND: &str = "by hand";
/// kwire's decoding and encoding where it has something better for proxies.
const WHOLE: &str = "kwire whole";
/// The peers that kwire is compared with; those in Rust come first.
const PEERS: [&str; 6] = [
    "kafka-protocol",
    "krabka-protocol",
    "krabka borrowed",
    "kacrab-protocol",
    "franz-go",
    "kafka-clients",
];
const RUST_PEERS: usize = 4;

/// An operation's name among the figures, its title, and what there is to say about it.
const OPERATIONS: [(&str, &str, &str); 6] = [
    (
        "encode",
        "Encode into a buffer that is used again",
        "Everybody encodes a value of their own: kwire and the functions by hand one as a program makes it, with vectors of numbers, the others what they decoded.\nkrabka-protocol is given records as bytes, which it would otherwise write one by one.",
    ),
    (
        "encode-fresh",
        "Encode into a new buffer",
        "Of letting the buffer grow and of asking for the exact size beforehand, the faster counts.",
    ),
    (
        "encode-decoded",
        "Encode what was decoded",
        "As a proxy does: numbers in arrays are still bytes of the frame.",
    ),
    ("size", "Exact size", ""),
    (
        "decode",
        "Decode, in the cheapest form that can be used",
        "kwire, krabka borrowed and the functions by hand borrow from the frame, kafka-protocol and kacrab-protocol share it, franz-go's strings share it (`UnsafeReadFrom`), Java copies strings and shares records.\nkrabka-protocol takes record batches apart and checks them as part of decoding (c and f), which is not the same work.\nJava's hash collection has long chains for keys that follow each other (g).",
    ),
    (
        "decode-static",
        "Decode to a value that borrows nothing",
        "kwire: `decode_shared`; krabka borrowed: `to_owned`; franz-go: `ReadFrom`.",
    ),
];

/// The codec's part of `docs/benchmarks.md`.
pub(super) fn codec(run: &Run<'_>) -> Result<String> {
    let mut text = head(run)?;
    for (operation, title, note) in OPERATIONS {
        if run.figures.has(operation) {
            write!(text, "\n## {title}\n\n")?;
            if !note.is_empty() {
                write!(text, "{note}\n\n")?;
            }
            text += &times(run, operation)?;
        }
    }
    text += &allocations(run)?;
    text += &cold(run)?;
    if run.figures.has("dispatch") {
        text += "\n## Decode by API key and version\n\nNanoseconds, kwire alone: the type is known, or looked up by the key.\n\n";
        let contestants = ["known type", "by key"];
        text += &plain(run, "dispatch", &contestants, |nanos| time(Some(nanos)))?;
    }
    text += &proxies(run)?;
    for (operation, title, note) in [
        ("batch-encode", "Write a record batch", ""),
        (
            "batch-decode",
            "Read a record batch into records that borrow nothing",
            "kwire has no such record: a function of the bench (`benches/src/records/kwire.rs`) cuts the values out of the shared buffer that they lie in.\n\n",
        ),
        (
            "batch-iterate",
            "Look at each record of a batch, in a buffer that is used again where the library can",
            "",
        ),
    ] {
        if run.figures.has(operation) {
            write!(text, "\n## {title}\n\n{note}")?;
            text += &batches(run, operation)?;
        }
    }
    if run.figures.has("crc") {
        text += "\n## CRC-32C\n\nGB/s; kwire uses the crate crc-fast. The crate crc32fast has another polynomial.\n\n";
        text += &checksums(run)?;
    }
    text += &shortfalls(run)?;
    Ok(text)
}

fn head(run: &Run<'_>) -> Result<String> {
    let mut text = String::new();
    let lock = benches_dir().join("Cargo.lock");
    let crates = ["kafka-protocol", "krabka-protocol", "kacrab-protocol"];
    let mut versions = machine::locked(&lock, &crates)?;
    versions.extend(run.others.iter().cloned());
    let rustc = machine::first_line(std::process::Command::new("rustc").arg("-V"));
    versions.extend(rustc);
    writeln!(
        text,
        "Measured by `{}` in {:.0} minutes.",
        run.command, run.minutes
    )?;
    writeln!(
        text,
        "It writes these tables itself; only ratios carry over to another machine.\n"
    )?;
    writeln!(text, "- Machine: {}.", machine::describe())?;
    writeln!(text, "- Date: {}.", machine::today())?;
    writeln!(text, "- Versions: {}.", versions.join(", "))?;
    for missing in run.missing {
        writeln!(
            text,
            "- Left out: {}.",
            missing.lines().next().unwrap_or_default()
        )?;
    }
    text += "
Times are nanoseconds, the least of many rounds: noise only ever adds.
Rust's contestants take turns within one process; Go and Java read the same bytes from files, run before and after, and get processes of their own, Java one for each case, warm.
The least of many rounds spares Go and Java the collector's work, while Rust's allocator does its own within each call.
All must write the same bytes before they are timed, and each is used as its documentation recommends; of two ways, the faster counts.
Builds are cargo's release profile as it is.

`by hand` is a function for just this message and version (`benches/src/handwritten`): it checks what a codec has to, and knows of no other version, of no value that the version could not carry, and not where an error lies.
`memcpy` copies the bytes.
`peer` is how many times as long the fastest peer takes as kwire, `Rust peer` the fastest in Rust, `of hand` how many times as long kwire takes as the function by hand; a row at the end has their geometric means.

glibc's allocator gives a large block back to the kernel and gets it again page by page with the next message, until the process has freed a large block once.
The Rust program therefore allocates and frees 32 MiB first, as any server has that has handled one large frame.

| case | message | bytes | what is in it |
|---|---|---|---|
";
    for case in run.cases {
        let bytes = case.bytes.parse().unwrap_or_default();
        let Case {
            id,
            message,
            version,
            what,
            ..
        } = case;
        writeln!(
            text,
            "| {id} | {message} v{version} | {} | {what} |",
            grouped(bytes)
        )?;
    }
    Ok(text)
}

/// How kwire stands in a cell.
struct Standing {
    peer: Option<f64>,
    rust_peer: Option<f64>,
    of_hand: Option<f64>,
}

fn standing(run: &Run<'_>, operation: &str, case: &str) -> Standing {
    let nanos = |name: &&str| run.figures.nanos(operation, case, name);
    let kwire = nanos(&KWIRE);
    let least = |peers: &[&str]| peers.iter().filter_map(nanos).reduce(f64::min);
    let ratio = |over: Option<f64>, under: Option<f64>| Some(over? / under?);
    Standing {
        peer: ratio(least(&PEERS), kwire),
        rust_peer: ratio(least(&PEERS[..RUST_PEERS]), kwire),
        of_hand: ratio(kwire, nanos(&BY_HAND)),
    }
}

/// The contestants that were timed at an operation, in the order of the columns.
fn contestants(run: &Run<'_>, operation: &str) -> Vec<&'static str> {
    let timed = |name: &&str| {
        let mut cases = run.cases.iter();
        cases.any(|case| run.figures.nanos(operation, &case.id, name).is_some())
    };
    let all = std::iter::once(KWIRE)
        .chain(PEERS)
        .chain([BY_HAND, "memcpy"]);
    all.filter(timed).collect()
}

fn times(run: &Run<'_>, operation: &str) -> Result<String> {
    let contestants = contestants(run, operation);
    let mut text = String::new();
    let columns = contestants.join(" | ");
    writeln!(text, "| case | {columns} | peer | Rust peer | of hand |")?;
    writeln!(text, "|{}", "---|".repeat(contestants.len() + 4))?;
    let mut all = [Vec::new(), Vec::new(), Vec::new()];
    for case in run.cases {
        let nanos = |name: &&str| run.figures.nanos(operation, &case.id, name);
        if !contestants.iter().any(|name| nanos(name).is_some()) {
            continue;
        }
        let Standing {
            peer,
            rust_peer,
            of_hand,
        } = standing(run, operation, &case.id);
        let cells: Vec<_> = contestants.iter().map(|name| time(nanos(name))).collect();
        let ratios = [peer, rust_peer, of_hand];
        for (all, ratio) in all.iter_mut().zip(ratios) {
            all.extend(ratio);
        }
        let ratios = ratios.map(times_as).join(" | ");
        writeln!(text, "| {} | {} | {ratios} |", case.id, cells.join(" | "))?;
    }
    // For each contestant, how many times as long as kwire it takes on the cases that it has.
    let over = |name: &&str| {
        let ratio = |case: &Case| {
            let nanos = |name| run.figures.nanos(operation, &case.id, name);
            Some(nanos(name)? / nanos(KWIRE)?)
        };
        times_as(mean(
            &run.cases.iter().filter_map(ratio).collect::<Vec<_>>(),
        ))
    };
    let means: Vec<_> = contestants.iter().map(over).collect();
    let ratios = all.map(|ratios| times_as(mean(&ratios))).join(" | ");
    writeln!(
        text,
        "| mean, of kwire | {} | {ratios} |",
        means.join(" | ")
    )?;
    Ok(text)
}

fn allocations(run: &Run<'_>) -> Result<String> {
    let mut text = String::new();
    for (operation, title) in [
        ("decode", "Allocations of a decode"),
        (
            "decode-static",
            "Allocations of a decode to a value that borrows nothing",
        ),
    ] {
        let count = |case: &Case, name: &str| run.figures.allocations(operation, &case.id, name);
        let names: Vec<_> = contestants(run, operation)
            .into_iter()
            .filter(|name| run.cases.iter().any(|case| count(case, name).is_some()))
            .collect();
        if names.is_empty() {
            continue;
        }
        write!(text, "\n## {title}\n\nBlocks / bytes.\n\n")?;
        writeln!(
            text,
            "| case | {} |\n|{}",
            names.join(" | "),
            "---|".repeat(names.len() + 1)
        )?;
        for case in run.cases {
            let cells: Vec<_> = names
                .iter()
                .map(|name| match count(case, name) {
                    Some((blocks, bytes)) => format!("{} / {}", grouped(blocks), grouped(bytes)),
                    None => String::new(),
                })
                .collect();
            if cells.iter().any(|cell| !cell.is_empty()) {
                writeln!(text, "| {} | {} |", case.id, cells.join(" | "))?;
            }
        }
    }
    Ok(text)
}

fn cold(run: &Run<'_>) -> Result<String> {
    let mut rows = String::new();
    for case in run.cases {
        for name in contestants(run, "decode") {
            let warm = run.figures.nanos("decode", &case.id, name);
            if let (Some(warm), Some(cold)) = (warm, run.cold.nanos("decode", &case.id, name)) {
                let ratio = times_as(Some(cold / warm));
                let (warm, cold) = (time(Some(warm)), time(Some(cold)));
                writeln!(rows, "| {} | {name} | {warm} | {cold} | {ratio} |", case.id)?;
            }
        }
    }
    if rows.is_empty() {
        return Ok(rows);
    }
    Ok(format!(
        "\n## Decode with a cold allocator\n\nIn a process that has never freed a large block (`--cold-malloc`).\n\n| case | | warm | cold | cold to warm |\n|---|---|---|---|---|\n{rows}"
    ))
}

/// What proxies do: an operation's name among the figures, its title, and what there is to say.
const PROXIES: [(&str, &str, &str); 3] = [
    (
        "peek",
        "Proxies: look into a message",
        "`frame::peek_request` (header), `peek::topics` and `peek::record_sets` with the `summary` of each set.\nThe others decode and encode; `decode alone` is the ratio to those who decode, look, and pass on the bytes that came, for the header to decoding the header.\nkrabka-protocol has no headers of requests, and writes every record anew.",
    ),
    (
        "rewrite",
        "Proxies: change a little in a response",
        "`rewrite::endpoints` into a buffer that is used again, with hosts as long as before or longer; `rewrite::endpoints_in_place` with hosts as long as before, and each time the same buffer; `rewrite::clamp_api_versions`.\nThe others decode, change the same and encode, and write the same bytes.",
    ),
    (
        "segments",
        "Proxies: encode without a copy of the records",
        "`encode_segments`, into a buffer that is used again or a new one, whichever is faster; the system's vectored write is not in it.\nThe others encode into a buffer that is used again.",
    ),
];

/// How many times as fast as the fastest peer's decoding and encoding proxies are to be.
const LEAST_PROXY_LEAD: f64 = 4.0;

fn proxies(run: &Run<'_>) -> Result<String> {
    let mut text = String::new();
    for (operation, title, note) in PROXIES {
        if !run.figures.has(operation) {
            continue;
        }
        let cases = run.figures.cases(operation);
        let (mut rows, mut slow) = (String::new(), Vec::new());
        for case in cases {
            let nanos = |name: &str| run.figures.nanos(operation, case, name);
            let java = java_whole(run, case);
            let names = [KWIRE, WHOLE, "kafka-protocol", "krabka-protocol"];
            let times: Vec<_> = names.iter().map(|name| nanos(name)).chain([java]).collect();
            let over_kwire = |peer: Option<f64>| Some(peer? / nanos(KWIRE)?);
            let least = |peers: &[Option<f64>]| peers.iter().flatten().copied().reduce(f64::min);
            let peer = over_kwire(least(&times[2..]));
            let own = over_kwire(nanos(WHOLE));
            if peer.is_some_and(|ratio| ratio < LEAST_PROXY_LEAD) {
                slow.push(case);
            }
            let cells: Vec<_> = times.into_iter().map(time).collect();
            let (peer, own) = (times_as(peer), times_as(own));
            write!(rows, "| {case} | {} | {peer} | {own} |", cells.join(" | "))?;
            if operation == "peek" {
                let alone = |name: &&str| run.figures.nanos("peek-decode", case, name);
                let alone = PEERS.iter().filter_map(alone).reduce(f64::min);
                write!(rows, " {} |", times_as(over_kwire(alone)))?;
            }
            writeln!(rows)?;
        }
        let (column, rule) = match operation {
            "peek" => (" decode alone |", "---|"),
            _ => ("", ""),
        };
        write!(
            text,
            "\n## {title}\n\n{note}\n`{WHOLE}` is kwire's own way without these functions, kafka-clients is there where another table has the same bytes; `own` is the ratio to `{WHOLE}`.\n\n| case | {KWIRE} | {WHOLE} | kafka-protocol | krabka-protocol | kafka-clients | peer | own |{column}\n|{}{rule}\n{rows}",
            "---|".repeat(8)
        )?;
        if !slow.is_empty() {
            write!(
                text,
                "\nLess than {LEAST_PROXY_LEAD} times as fast as the fastest peer: {}.\n",
                slow.join("; ")
            )?;
        }
    }
    Ok(text)
}

/// What Java takes to decode and encode the message whose letter stands behind a proxy's case.
fn java_whole(run: &Run<'_>, case: &str) -> Option<f64> {
    let (_, letter) = case.strip_suffix(')')?.rsplit_once('(')?;
    let nanos = |operation| run.figures.nanos(operation, letter, "kafka-clients");
    Some(nanos("decode")? + nanos("encode")?)
}

/// A table without ratios.
fn plain(
    run: &Run<'_>,
    operation: &str,
    contestants: &[&str],
    cell: impl Fn(f64) -> String,
) -> Result<String> {
    let mut text = String::new();
    let columns = contestants.join(" | ");
    writeln!(
        text,
        "| case | {columns} |\n|{}",
        "---|".repeat(contestants.len() + 1)
    )?;
    for case in run.cases {
        let nanos = |name: &&str| run.figures.nanos(operation, &case.id, name);
        if contestants.iter().any(|name| nanos(name).is_some()) {
            let cells: Vec<_> = contestants
                .iter()
                .map(|name| nanos(name).map_or(String::new(), &cell))
                .collect();
            writeln!(text, "| {} | {} |", case.id, cells.join(" | "))?;
        }
    }
    Ok(text)
}

/// The cases of record batches.
pub(super) const COMPRESSIONS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

fn batches(run: &Run<'_>, operation: &str) -> Result<String> {
    let note = "Microseconds for 1 MiB of records of 100 bytes, checksum included, each library's own level of compression.\n\n";
    let timed = |name: &&str| {
        let mut cases = COMPRESSIONS.iter();
        cases.any(|case| run.figures.nanos(operation, case, name).is_some())
    };
    let all = std::iter::once(KWIRE).chain(PEERS).chain([BY_HAND]);
    let names: Vec<_> = all.filter(timed).collect();
    let mut text = note.to_owned();
    let columns = names.join(" | ");
    writeln!(
        text,
        "| compression | {columns} | peer | Rust peer | of hand |\n|{}",
        "---|".repeat(names.len() + 4)
    )?;
    for case in COMPRESSIONS {
        let Standing {
            peer,
            rust_peer,
            of_hand,
        } = standing(run, operation, case);
        let cells: Vec<_> = names
            .iter()
            .map(|name| run.figures.nanos(operation, case, name))
            .map(|nanos| nanos.map_or(String::new(), |nanos| grouped((nanos / 1e3).round() as u64)))
            .collect();
        let ratios = [peer, rust_peer, of_hand].map(times_as).join(" | ");
        writeln!(text, "| {case} | {} | {ratios} |", cells.join(" | "))?;
    }
    Ok(text)
}

fn checksums(run: &Run<'_>) -> Result<String> {
    let names = ["crc32c", "crc-fast", "crc"];
    let mut text = String::new();
    writeln!(text, "| bytes | {} |\n|---|---|---|---|", names.join(" | "))?;
    for (case, len) in [("64 B", 64.0), ("4 KiB", 4096.0), ("1 MiB", 1_048_576.0)] {
        let rate = |name: &&str| {
            let nanos = run.figures.nanos("crc", case, name);
            nanos.map_or(String::new(), |nanos| format!("{:.1}", len / nanos))
        };
        let cells: Vec<_> = names.iter().map(rate).collect();
        writeln!(text, "| {case} | {} |", cells.join(" | "))?;
    }
    Ok(text)
}

/// Less than this many times as fast as the fastest peer is worth a look.
const LEAST_LEAD: f64 = 1.5;
/// So is more than this many times as long as by hand.
const MOST_OF_HAND: f64 = 1.3;

fn shortfalls(run: &Run<'_>) -> Result<String> {
    let mut rows = String::new();
    for (operation, ..) in OPERATIONS {
        for case in run.cases {
            let Standing { peer, of_hand, .. } = standing(run, operation, &case.id);
            let lead = peer.filter(|ratio| *ratio < LEAST_LEAD);
            let of_hand = of_hand.filter(|ratio| *ratio > MOST_OF_HAND);
            if lead.is_some() || of_hand.is_some() {
                let (lead, of_hand) = (times_as(lead), times_as(of_hand));
                writeln!(rows, "| {operation} | {} | {lead} | {of_hand} |", case.id)?;
            }
        }
    }
    if rows.is_empty() {
        return Ok(rows);
    }
    Ok(format!(
        "\n## Where there is something to gain\n\nThe fastest peer takes less than {LEAST_LEAD} times as long as kwire, or kwire more than {MOST_OF_HAND} times as long as the function by hand.\nTo encode c and f is to copy 1 MiB, at which nobody beats `memcpy`.\n\n| operation | case | peer | of hand |\n|---|---|---|---|\n{rows}"
    ))
}

fn time(nanos: Option<f64>) -> String {
    match nanos {
        None => String::new(),
        Some(nanos) if nanos < 9.95 => format!("{nanos:.1}"),
        Some(nanos) => grouped(nanos.round() as u64),
    }
}

fn times_as(ratio: Option<f64>) -> String {
    match ratio {
        None => String::new(),
        Some(ratio) if ratio < 9.95 => format!("{ratio:.2}"),
        Some(ratio) => grouped(ratio.round() as u64),
    }
}

/// A number with a comma between groups of three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_threes() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }

    #[test]
    fn ratios_are_to_the_fastest() {
        let mut figures = Figures::default();
        for (name, nanos) in [
            ("kwire", 2.0),
            ("kacrab-protocol", 8.0),
            ("franz-go", 5.0),
            ("by hand", 1.0),
        ] {
            figures
                .add(&format!("time\ta\tdecode\t{name}\t{nanos}"))
                .unwrap();
        }
        let run = Run {
            cases: &[],
            figures: &figures,
            cold: &Figures::default(),
            others: &[],
            missing: &[],
            command: "",
            minutes: 0.0,
        };
        let standing = standing(&run, "decode", "a");
        assert_eq!(standing.peer, Some(2.5));
        assert_eq!(standing.rust_peer, Some(4.0));
        assert_eq!(standing.of_hand, Some(2.0));
    }
}
