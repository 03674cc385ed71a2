use bytes::Bytes;
use kwire_raft::types::OffsetAndEpoch;

use super::*;

fn state() -> State {
    let span = |at: i64| Span {
        first: i32::try_from(at).expect("small"),
        last: i32::try_from(at).expect("small") + 1,
        base: at * 10,
        end: at * 10 + 1,
    };
    let producer = |epoch, ats: &[i64]| {
        let spans: Vec<Span> = ats.iter().map(|at| span(*at)).collect();
        Producer::with(epoch, &spans).expect("in order")
    };
    let mut serials = Serials::new(true);
    serials.next = [(1, 7), (9, u64::MAX)].into();
    serials.breaks = 3;
    State {
        producers: Settled {
            producers: vec![
                (0, producer(0, &[1])),
                (1 << 32, producer(5, &[2, 3, 4, 5, 6])),
            ],
            has_forgotten: true,
        },
        serials,
    }
}

fn options() -> SnapshotOptions {
    SnapshotOptions::new(OffsetAndEpoch::new(100, 9), 1_000, 2_000)
}

fn read(bytes: &[u8]) -> Result<Option<State>, LoadError<String>> {
    let bytes = Bytes::copy_from_slice(bytes);
    let part = |position: u64, max: usize| {
        let start = usize::try_from(position).expect("small");
        Ok(bytes.slice(start..bytes.len().min(start + max)))
    };
    State::from_snapshot(SnapshotReader::new(bytes.len() as u64, part))
}

/// A snapshot of these values.
fn snapshot(values: &[Vec<u8>]) -> Vec<u8> {
    let mut writer = SnapshotWriter::new(options());
    for value in values {
        let value = Some(&value[..]);
        let record = NewRecord {
            value,
            ..Default::default()
        };
        writer.append(&record).expect("short");
    }
    writer.finish().expect("whole")
}

fn values(state: &State) -> Vec<Vec<u8>> {
    let value = |entry: Entry| {
        let mut value = Vec::new();
        entry.write(&mut value);
        value
    };
    state.entries().map(value).collect()
}

#[test]
fn a_state_comes_back() {
    let bytes = state().to_snapshot(options()).expect("short records");
    assert_eq!(read(&bytes).expect("whole"), Some(state()));
    let empty = State {
        producers: Settled::default(),
        serials: Serials::new(false),
    };
    let bytes = empty.to_snapshot(options()).expect("short records");
    assert_eq!(read(&bytes).expect("whole"), Some(empty));
}

/// The form is for good: nodes of later versions read it.
#[test]
fn the_bytes_of_version_1() {
    let values = values(&state());
    let hex = |value: &[u8]| value.iter().map(|b| format!("{b:02x}")).collect::<String>();
    assert_eq!(
        hex(&values[0]),
        "6b777374010003000000000000000300000002000000 02".replace(' ', "")
    );
    assert_eq!(
        hex(&values[1]),
        "6b7773740101 0000000000000000 0000 01 00000001 00000002 000000000000000a 000000000000000b"
            .replace(' ', "")
    );
    assert_eq!(
        hex(&values[3]),
        "6b7773740102 00000001 0000000000000007".replace(' ', "")
    );
}

#[test]
fn what_others_wrote_is_no_state() {
    assert_eq!(read(&snapshot(&[])).expect("whole"), None);
    assert_eq!(read(&snapshot(&[vec![1, 2, 3]])).expect("whole"), None);
}

#[test]
fn damage_is_an_error_that_says_where() {
    let good = values(&state());
    let changed = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut values = good.clone();
        change(&mut values);
        read(&snapshot(&values)).expect_err("damaged").to_string()
    };
    for (change, said) in [
        (
            &(|v: &mut Vec<Vec<u8>>| v[0][4] = 2) as &dyn Fn(&mut Vec<Vec<u8>>),
            "record 0: a state of version 2, which is newer than 1",
        ),
        (&|v| v[2][5] = 9, "record 2: there is no kind 9"),
        (
            &|v| v[0][6] = 4,
            "record 0: there is a flag that is not known",
        ),
        (
            &|v| v[1].push(0),
            "record 1: the value goes on after its end",
        ),
        (
            &|v| v.swap(0, 1),
            "record 0: the record does not belong there",
        ),
        (
            &|v| v.swap(1, 2),
            "record 2: the record does not belong there",
        ),
        (
            &|v| v.swap(2, 3),
            "record 3: the record does not belong there",
        ),
        (
            &|v| v.push(v[0].clone()),
            "record 5: the record does not belong there",
        ),
        (
            &|v| v[2] = vec![1, 2],
            "record 2: the record does not belong there",
        ),
        (
            &|v| drop(v.pop()),
            "record 4: 2 producers or epochs were to come, and there are 1",
        ),
        (
            &|v| drop(v.remove(1)),
            "record 4: 2 producers or epochs were to come, and there are 1",
        ),
        (
            &|v| v[1][16] = 0,
            "record 1: a producer's batches are none, too many, or out of order",
        ),
        // Two producers that wrote last at one offset.
        (
            &|v| {
                let span = v[1][17..].to_vec();
                v[2].truncate(17);
                v[2][16] = 1;
                v[2].extend(span)
            },
            "record 2: the record does not belong there",
        ),
    ] {
        assert_eq!(changed(change), said);
    }
    for at in 0..good.len() {
        for len in TAG.len()..good[at].len() {
            let error = changed(&|values| values[at].truncate(len));
            assert!(
                error.contains("too early") || error.contains("none, too many"),
                "{error}"
            );
        }
    }
}

/// Whatever the bytes are, reading them ends, and with a state or an error.
#[test]
fn any_byte_may_be_another() {
    let good = values(&state());
    for (record, value) in good.iter().enumerate() {
        for at in 0..value.len() {
            for flip in [1, 0x80, 0xff] {
                let mut values = good.clone();
                values[record][at] ^= flip;
                if let Ok(Some(read)) = read(&snapshot(&values)) {
                    assert_ne!(read, state(), "record {record}, byte {at}");
                }
            }
        }
    }
}
