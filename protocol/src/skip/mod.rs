//! A cursor that skips through a message and gives out single fields, for those who pass messages
//! on and look at little of them.
//!
//! The third reader of the same bytes, next to the generated structs and the
//! [walk](crate::walk): it allocates nothing, and checks what it passes as they do, but for two
//! things that it does not give out: whether strings are UTF-8, and what is in tagged fields. What
//! it refuses the walk refuses too, and says why.

mod plan;

pub(crate) use plan::{Plan, Plans};

use plan::{ABSENT, Code, MAX_DEPTH, NOTHING, Op, SLOTS};

use crate::runtime::{DecodeError, DecodeErrorKind, Limits, MAX_STRING_LEN};
use crate::walk;

/// The place of a field in the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Where it begins, with its length if it has one.
    pub(crate) start: usize,
    /// Where its content begins.
    pub(crate) content: usize,
    /// Where it ends.
    pub(crate) end: usize,
}

impl Found {
    /// Of a field that is null, or that the version lacks: it has no content.
    const NONE: Found = Found {
        start: usize::MAX,
        content: usize::MAX,
        end: 0,
    };

    /// The content; `None` if the field is null or is not there.
    #[inline(always)]
    pub(crate) fn content<'b>(&self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        bytes.get(self.content..self.end)
    }

    /// The value of an `int32` or `uint16`.
    #[inline]
    pub(crate) fn int(&self, bytes: &[u8]) -> Option<i32> {
        match *self.content(bytes)? {
            [a, b] => Some(u16::from_be_bytes([a, b]).into()),
            [a, b, c, d] => Some(i32::from_be_bytes([a, b, c, d])),
            _ => None,
        }
    }
}

/// What the cursor has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The last value of a struct before it ends or something with other values in it begins, by
    /// its [slot](Cursor::given): those of the values before it are known too.
    Value(u8),
    /// The length of an array: [`Cursor::count`], at [`Cursor::found`], as all below.
    Count,
    /// An array that is null.
    Null,
    /// The end of that array.
    ArrayEnd,
    /// The size of a tagged field in which something is given out.
    TagSize,
    /// The end of that tagged field.
    TagEnd,
    /// The end of the plan.
    End,
}

/// The bytes are not the message that the plan is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused;

/// A position in a message. It holds no bytes, so that these may be changed between two steps.
#[derive(Clone, Debug)]
pub(crate) struct Cursor {
    pub(crate) plan: Plan,
    at: usize,
    ip: usize,
    depth: usize,
    frames: [Frame; MAX_DEPTH],
    // What is found lies here and not in what is returned, which would be copied from hand to hand
    // in parts of other sizes than it was written in: waiting for that takes longer than all else.
    given: [Found; SLOTS],
    found: Found,
    count: usize,
}

/// An array or tagged fields.
#[derive(Clone, Copy, Debug, Default)]
struct Frame {
    /// How many elements or fields are still to come, with the present one or without.
    left: u32,
    /// The step with which the next element begins, or that of the tagged fields.
    ip: u32,
    /// How many bytes are left where the present tagged field ends.
    end: usize,
}

impl Cursor {
    /// A cursor at the start of a message.
    #[inline(always)]
    pub(crate) fn new(plan: Plan) -> Cursor {
        Cursor {
            plan,
            at: 0,
            ip: 0,
            depth: 0,
            frames: [Frame::default(); MAX_DEPTH],
            given: [Found::NONE; SLOTS],
            found: Found::NONE,
            count: 0,
        }
    }

    /// How many bytes the cursor has passed.
    #[inline]
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Where a value is: its path's number modulo [`SLOTS`].
    #[inline(always)]
    pub(crate) fn given(&self, slot: usize) -> &Found {
        &self.given[slot % SLOTS]
    }

    /// Where the array's length, its end or the tagged field's size is.
    #[inline(always)]
    pub(crate) fn found(&self) -> Found {
        self.found
    }

    /// The length of the array.
    #[inline(always)]
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Goes on to the next place at which the plan has something to give out. `bytes` are those of
    /// the message, at every call.
    ///
    /// # Errors
    /// When they are malformed before that place; [`Cursor::error`] says how.
    #[inline]
    pub(crate) fn next(&mut self, bytes: &[u8]) -> Result<What, Refused> {
        // All that takes a step is inlined here: one whose address nobody takes is in registers.
        let mut on = Step {
            rest: bytes.get(self.at..).ok_or(Refused)?,
            len: bytes.len(),
            flexible: self.plan.flexible,
        };
        let mut ip = self.ip;
        let what = self.run(&mut on, &mut ip)?;
        self.ip = ip;
        self.at = on.offset();
        Ok(what)
    }

    #[inline(always)]
    fn run(&mut self, on: &mut Step<'_>, ip: &mut usize) -> Result<What, Refused> {
        let ops = self.plan.ops;
        while let Some(op) = ops.get(*ip) {
            let start = on.offset();
            *ip += 1;
            let content = match op.code {
                Code::Fixed => {
                    on.skip(usize::from(op.first))?;
                    Some(start)
                }
                Code::Text => on.text(op)?,
                Code::Blob => on.blob(op)?,
                Code::Numbers => {
                    on.numbers(op)?;
                    continue;
                }
                Code::Texts | Code::Blobs => {
                    on.strings(op)?;
                    continue;
                }
                Code::SkipTags => {
                    on.tags()?;
                    continue;
                }
                Code::TagsAgain => {
                    on.tags()?;
                    self.again(ip)?;
                    continue;
                }
                Code::Tags if on.rest.first() == Some(&0) => {
                    on.skip(1)?;
                    *ip = usize::from(op.second);
                    continue;
                }
                Code::Again => {
                    self.again(ip)?;
                    continue;
                }
                Code::End => {
                    // Stays at its end.
                    *ip -= 1;
                    break;
                }
                _ => match self.nest(op, on, ip)? {
                    None => continue,
                    Some(what) => return Ok(what),
                },
            };
            if op.give != NOTHING {
                self.given[usize::from(op.give) % SLOTS] = match content {
                    Some(content) => on.found(start, content),
                    None => Found::NONE,
                };
                if op.stop {
                    return Ok(What::Value(op.give % SLOTS as u8));
                }
            }
        }
        Ok(What::End)
    }

    /// The steps that begin and end something with other steps in it.
    #[inline(always)]
    fn nest(
        &mut self,
        op: &Op,
        on: &mut Step<'_>,
        ip: &mut usize,
    ) -> Result<Option<What>, Refused> {
        match op.code {
            Code::Each => {
                let start = on.offset();
                let len = on.array_len(op, 1)?;
                match len.unwrap_or(0) {
                    0 => *ip = usize::from(op.first),
                    left => self.push(left, *ip)?,
                }
                return Ok(self.give_array(op, len, on.found(start, on.offset())));
            }
            Code::Rows => {
                let start = on.offset();
                let len = on.array_len(op, 1)?;
                let found = on.found(start, on.offset());
                on.rows(op, len.unwrap_or(0))?;
                return Ok(self.give_array(op, len, found));
            }
            Code::ArrayEnd => {
                let end = on.offset();
                self.found = on.found(end, end);
                return Ok(Some(What::ArrayEnd));
            }
            Code::Maybe => {
                if on.byte()? >= 0x80 {
                    *ip = usize::from(op.first);
                }
                return Ok(None);
            }
            Code::MaybeTagged => {
                if on.uvarint()? == 0 {
                    *ip = usize::from(op.first);
                }
                return Ok(None);
            }
            Code::Tags => {
                let count = on.uvarint()?;
                if count > Limits::DEFAULT.max_tagged_fields {
                    return Err(Refused);
                }
                self.push(count as usize, *ip - 1)?;
            }
            Code::TagEnd => {
                if self.top()?.end != on.rest.len() {
                    return Err(Refused);
                }
                if op.give != NOTHING {
                    // The step behind this one goes on with the next.
                    let end = on.offset();
                    self.found = on.found(end, end);
                    return Ok(Some(What::TagEnd));
                }
            }
            Code::NextTag => {}
            _ => return Ok(None),
        }
        // Of the tags' steps, those that did not return go on with the next field.
        self.next_tag(on, ip)
    }

    #[inline(always)]
    fn give_array(&mut self, op: &Op, len: Option<usize>, found: Found) -> Option<What> {
        if op.give == NOTHING {
            return None;
        }
        self.found = found;
        self.count = len.unwrap_or(0);
        Some(if len.is_some() {
            What::Count
        } else {
            What::Null
        })
    }

    /// Goes on to the next tagged field that the schema knows, or behind them all.
    #[inline(always)]
    fn next_tag(&mut self, on: &mut Step<'_>, ip: &mut usize) -> Result<Option<What>, Refused> {
        loop {
            let frame = self.top()?;
            let first = frame.ip as usize;
            if frame.left == 0 {
                self.depth -= 1;
                *ip = self.plan.ops.get(first).map_or(0, |op| op.second.into());
                return Ok(None);
            }
            frame.left -= 1;
            let tag = on.uvarint()?;
            let start = on.offset();
            let size = on.uvarint()? as usize;
            let end = on.rest.len().checked_sub(size).ok_or(Refused)?;
            let rows = self.plan.ops.get(first + 1..).unwrap_or_default();
            let mut rows = rows.iter().take_while(|row| row.code == Code::TagRow);
            let Some(row) = rows.find(|row| u32::from(row.first) == tag) else {
                on.skip(size)?;
                continue;
            };
            if row.second == ABSENT {
                return Err(Refused);
            }
            self.top()?.end = end;
            *ip = row.second.into();
            if row.give == NOTHING {
                return Ok(None);
            }
            self.found = on.found(start, on.offset());
            return Ok(Some(What::TagSize));
        }
    }

    /// Goes on to the array's next element, or behind the last.
    #[inline(always)]
    fn again(&mut self, ip: &mut usize) -> Result<(), Refused> {
        let frame = self.top()?;
        frame.left -= 1;
        if frame.left > 0 {
            *ip = frame.ip as usize;
        } else {
            self.depth -= 1;
        }
        Ok(())
    }

    #[inline(always)]
    fn push(&mut self, left: usize, ip: usize) -> Result<(), Refused> {
        let frame = self.frames.get_mut(self.depth).ok_or(Refused)?;
        *frame = Frame {
            left: left as u32,
            ip: ip as u32,
            end: 0,
        };
        self.depth += 1;
        Ok(())
    }

    #[inline(always)]
    fn top(&mut self) -> Result<&mut Frame, Refused> {
        let frame = self.depth.checked_sub(1);
        frame
            .and_then(|frame| self.frames.get_mut(frame))
            .ok_or(Refused)
    }

    /// What is wrong with the bytes: what decoding them says.
    #[cold]
    #[inline(never)]
    pub(crate) fn error(&self, bytes: &[u8]) -> DecodeError {
        let left = bytes.len().saturating_sub(self.at);
        // The walk knows better, as it refuses all that the cursor refuses.
        let wanted = left + 1;
        self.error_of(bytes, DecodeErrorKind::Truncated { wanted, left })
    }

    /// What is wrong with the bytes: what decoding them says, or this if they are right so far.
    #[cold]
    #[inline(never)]
    pub(crate) fn error_of(&self, bytes: &[u8], kind: DecodeErrorKind) -> DecodeError {
        let Plan {
            schema, version, ..
        } = self.plan;
        let error = DecodeError::new(kind, self.at);
        walk::locate_decode(error, schema, version, bytes, &Limits::DEFAULT)
    }
}

/// What follows the tagged fields at the start of bytes that a cursor has passed.
#[inline]
pub(crate) fn behind_tags(bytes: &[u8]) -> &[u8] {
    let mut on = Step {
        rest: bytes,
        len: bytes.len(),
        flexible: true,
    };
    match on.tags() {
        Ok(()) => on.rest,
        // They were there when the cursor passed.
        Err(Refused) => &[],
    }
}

/// An unsigned varint and how many bytes it takes, none if it is refused: two registers.
#[inline(never)]
fn long_uvarint(bytes: &[u8]) -> (u32, u32) {
    let (mut value, mut len) = (0, 0);
    for byte in bytes.iter().take(5) {
        value |= u32::from(byte & 0x7f) << (7 * len);
        len += 1;
        if *byte < 0x80 {
            return (value, len);
        }
    }
    (0, 0)
}

/// The bytes from the present step on.
struct Step<'a> {
    rest: &'a [u8],
    len: usize,
    flexible: bool,
}

impl Step<'_> {
    #[inline(always)]
    fn offset(&self) -> usize {
        self.len - self.rest.len()
    }

    #[inline(always)]
    fn found(&self, start: usize, content: usize) -> Found {
        Found {
            start,
            content,
            end: self.offset(),
        }
    }

    #[inline(always)]
    fn skip(&mut self, len: usize) -> Result<(), Refused> {
        self.rest = self.rest.get(len..).ok_or(Refused)?;
        Ok(())
    }

    #[inline(always)]
    fn byte(&mut self) -> Result<u8, Refused> {
        let (byte, rest) = self.rest.split_first().ok_or(Refused)?;
        self.rest = rest;
        Ok(*byte)
    }

    #[inline(always)]
    fn uvarint(&mut self) -> Result<u32, Refused> {
        match self.rest.split_first() {
            Some((byte, rest)) if *byte < 0x80 => {
                self.rest = rest;
                Ok(u32::from(*byte))
            }
            _ => {
                let (value, len) = long_uvarint(self.rest);
                if len == 0 {
                    return Err(Refused);
                }
                self.rest = self.rest.get(len as usize..).unwrap_or_default();
                Ok(value)
            }
        }
    }

    /// A length, or null if it is negative and may be.
    #[inline(always)]
    fn nullable(&self, len: i32, op: &Op) -> Result<Option<usize>, Refused> {
        match usize::try_from(len) {
            Ok(len) => Ok(Some(len)),
            Err(_) if op.nullable => Ok(None),
            Err(_) => Err(Refused),
        }
    }

    #[inline(always)]
    fn compact_len(&mut self) -> Result<i32, Refused> {
        Ok((self.uvarint()? as i32).wrapping_sub(1))
    }

    #[inline(always)]
    fn long_len(&mut self, op: &Op) -> Result<Option<usize>, Refused> {
        let len = if self.flexible {
            self.compact_len()?
        } else {
            let (len, rest) = self.rest.split_first_chunk().ok_or(Refused)?;
            self.rest = rest;
            i32::from_be_bytes(*len)
        };
        self.nullable(len, op)
    }

    /// Takes a string, and says where its text begins.
    #[inline(always)]
    fn text(&mut self, op: &Op) -> Result<Option<usize>, Refused> {
        let len = if self.flexible {
            self.compact_len()?
        } else {
            let (len, rest) = self.rest.split_first_chunk().ok_or(Refused)?;
            self.rest = rest;
            i16::from_be_bytes(*len).into()
        };
        match self.nullable(len, op)? {
            Some(len) if len <= MAX_STRING_LEN => self.content(len).map(Some),
            Some(_) => Err(Refused),
            None => Ok(None),
        }
    }

    /// Takes bytes, and says where their content begins.
    #[inline(always)]
    fn blob(&mut self, op: &Op) -> Result<Option<usize>, Refused> {
        match self.long_len(op)? {
            Some(len) => self.content(len).map(Some),
            None => Ok(None),
        }
    }

    #[inline(always)]
    fn content(&mut self, len: usize) -> Result<usize, Refused> {
        let content = self.offset();
        self.skip(len)?;
        Ok(content)
    }

    #[inline(always)]
    fn array_len(&mut self, op: &Op, width: usize) -> Result<Option<usize>, Refused> {
        let Some(len) = self.long_len(op)? else {
            return Ok(None);
        };
        let too_long = len.saturating_mul(width) > self.rest.len();
        if too_long || len > Limits::DEFAULT.max_array_len as usize {
            return Err(Refused);
        }
        Ok(Some(len))
    }

    #[inline(always)]
    fn numbers(&mut self, op: &Op) -> Result<(), Refused> {
        let width = usize::from(op.first);
        match self.array_len(op, width)? {
            Some(len) => self.skip(len * width),
            None => Ok(()),
        }
    }

    /// Takes tagged fields, whatever is in them.
    #[inline(always)]
    fn tags(&mut self) -> Result<(), Refused> {
        match self.rest.split_first() {
            Some((0, rest)) => {
                self.rest = rest;
                Ok(())
            }
            _ => self.some_tags(),
        }
    }

    #[inline(always)]
    fn some_tags(&mut self) -> Result<(), Refused> {
        let count = self.uvarint()?;
        if count > Limits::DEFAULT.max_tagged_fields {
            return Err(Refused);
        }
        for _ in 0..count {
            self.uvarint()?;
            let size = self.uvarint()? as usize;
            self.skip(size)?;
        }
        Ok(())
    }

    #[inline(always)]
    fn rows(&mut self, op: &Op, len: usize) -> Result<(), Refused> {
        let width = usize::from(op.first);
        if op.second == 0 {
            return self.skip(len.saturating_mul(width));
        }
        for _ in 0..len {
            self.skip(width)?;
            self.tags()?;
        }
        Ok(())
    }

    #[inline(always)]
    fn strings(&mut self, op: &Op) -> Result<(), Refused> {
        let element = Op {
            nullable: false,
            ..*op
        };
        for _ in 0..self.array_len(op, 1)?.unwrap_or(0) {
            match op.code {
                Code::Texts => self.text(&element)?,
                _ => self.blob(&element)?,
            };
        }
        Ok(())
    }
}
