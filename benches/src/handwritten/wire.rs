//! What all the functions by hand need.

/// The bytes are not the message.
#[derive(Clone, Copy, Debug)]
pub struct Malformed;

pub type Result<T> = std::result::Result<T, Malformed>;

/// What is left of a frame.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    #[inline]
    pub fn new(frame: &'a [u8]) -> Self {
        Reader(frame)
    }

    /// Fields of fixed width that follow each other, checked once.
    #[inline(always)]
    pub fn run<const N: usize>(&mut self) -> Result<&'a [u8; N]> {
        let (head, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(head)
    }

    #[inline(always)]
    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(head)
    }

    #[inline(always)]
    pub fn uvarint(&mut self) -> Result<usize> {
        match self.0 {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.0 = rest;
                Ok(usize::from(*byte))
            }
            [low, high, rest @ ..] if *high < 0x80 => {
                self.0 = rest;
                Ok(usize::from(*low & 0x7f) | usize::from(*high) << 7)
            }
            _ => self.long_uvarint(),
        }
    }

    #[inline(never)]
    fn long_uvarint(&mut self) -> Result<usize> {
        let mut value = 0u64;
        for shift in (0..35).step_by(7) {
            let [byte] = *self.run()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return u32::try_from(value)
                    .map(|value| value as usize)
                    .map_err(|_| Malformed);
            }
        }
        Err(Malformed)
    }

    /// The length of an array whose elements take at least so many bytes each.
    #[inline(always)]
    pub fn count(&mut self, least: usize) -> Result<usize> {
        let count = self.uvarint()?.checked_sub(1).ok_or(Malformed)?;
        if count * least > self.0.len() {
            return Err(Malformed);
        }
        Ok(count)
    }

    /// An array of structs.
    #[inline(always)]
    pub fn array<T>(
        &mut self,
        least: usize,
        mut read: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        let count = self.count(least)?;
        let mut array = Vec::with_capacity(count);
        for _ in 0..count {
            array.push(read(self)?);
        }
        Ok(array)
    }

    /// An array of 32-bit numbers, as its bytes.
    #[inline(always)]
    pub fn ints(&mut self) -> Result<&'a [u8]> {
        let count = self.count(4)?;
        self.take(4 * count)
    }

    #[inline(always)]
    pub fn bytes(&mut self) -> Result<&'a [u8]> {
        self.nullable_bytes()?.ok_or(Malformed)
    }

    #[inline(always)]
    pub fn nullable_bytes(&mut self) -> Result<Option<&'a [u8]>> {
        match self.uvarint()? {
            0 => Ok(None),
            len => self.take(len - 1).map(Some),
        }
    }

    #[inline(always)]
    pub fn str(&mut self) -> Result<&'a str> {
        self.nullable_str()?.ok_or(Malformed)
    }

    #[inline(always)]
    pub fn nullable_str(&mut self) -> Result<Option<&'a str>> {
        match self.nullable_bytes()? {
            Some(bytes) if bytes.len() <= 0x7fff => {
                str::from_utf8(bytes).map(Some).map_err(|_| Malformed)
            }
            Some(_) => Err(Malformed),
            None => Ok(None),
        }
    }

    /// The tagged fields at the end of a struct that knows none.
    #[inline(always)]
    pub fn end(&mut self) -> Result<()> {
        match self.0 {
            [0, rest @ ..] => {
                self.0 = rest;
                Ok(())
            }
            _ => {
                let count = self.uvarint()?;
                self.skip_tags(count)
            }
        }
    }

    /// Tagged fields that nobody knows.
    #[cold]
    #[inline(never)]
    pub fn skip_tags(&mut self, count: usize) -> Result<()> {
        for _ in 0..count {
            self.uvarint()?;
            let size = self.uvarint()?;
            self.take(size)?;
        }
        Ok(())
    }

    /// Nothing follows.
    #[inline(always)]
    pub fn finish(self) -> Result<()> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Malformed)
        }
    }
}

/// Big-endian numbers out of a run.
macro_rules! number {
    ($($name:ident)*) => {$(
        #[inline(always)]
        pub fn $name(run: &[u8], at: usize) -> $name {
            let mut bytes = [0; size_of::<$name>()];
            bytes.copy_from_slice(&run[at..at + size_of::<$name>()]);
            $name::from_be_bytes(bytes)
        }
    )*};
}

number!(u16 i16 i32 i64);

/// A UUID out of a run.
#[inline(always)]
pub fn uuid(run: &[u8], at: usize) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&run[at..at + 16]);
    bytes
}

/// Fields of fixed width that follow each other, appended at once.
macro_rules! put_run {
    ($out:expr, $len:literal, $($field:expr),* $(,)?) => {{
        let mut run = [0; $len];
        let mut at = 0;
        $(
            let bytes = $field;
            run[at..at + bytes.len()].copy_from_slice(&bytes);
            at += bytes.len();
        )*
        debug_assert_eq!(at, $len);
        $out.extend_from_slice(&run);
    }};
}
pub(super) use put_run;

/// Where an encoder writes.
pub trait Sink {
    fn push(&mut self, byte: u8);
    fn extend_from_slice(&mut self, bytes: &[u8]);
}

/// A vector that grows.
impl Sink for Vec<u8> {
    #[inline(always)]
    fn push(&mut self, byte: u8) {
        Vec::push(self, byte);
    }

    #[inline(always)]
    fn extend_from_slice(&mut self, bytes: &[u8]) {
        Vec::extend_from_slice(self, bytes);
    }
}

/// A buffer that is large enough, of which this is what is left.
impl Sink for &mut [u8] {
    #[inline(always)]
    fn push(&mut self, byte: u8) {
        self.extend_from_slice(&[byte]);
    }

    #[inline(always)]
    fn extend_from_slice(&mut self, bytes: &[u8]) {
        let (head, rest) = std::mem::take(self).split_at_mut(bytes.len());
        head.copy_from_slice(bytes);
        *self = rest;
    }
}

#[inline(always)]
pub fn put_uvarint(out: &mut impl Sink, value: usize) {
    if value < 0x80 {
        out.push(value as u8);
    } else if value < 0x4000 {
        out.extend_from_slice(&[value as u8 | 0x80, (value >> 7) as u8]);
    } else {
        put_long_uvarint(out, value);
    }
}

#[inline(never)]
fn put_long_uvarint(out: &mut impl Sink, mut value: usize) {
    let mut bytes = [0; 5];
    let mut len = 0;
    while value >= 0x80 {
        bytes[len] = value as u8 | 0x80;
        value >>= 7;
        len += 1;
    }
    bytes[len] = value as u8;
    out.extend_from_slice(&bytes[..=len]);
}

#[inline(always)]
pub fn put_array<T, S: Sink>(out: &mut S, array: &[T], mut put: impl FnMut(&mut S, &T)) {
    put_uvarint(out, array.len() + 1);
    for element in array {
        put(out, element);
    }
}

#[inline(always)]
pub fn put_bytes(out: &mut impl Sink, bytes: &[u8]) {
    put_uvarint(out, bytes.len() + 1);
    out.extend_from_slice(bytes);
}

#[inline(always)]
pub fn put_nullable_bytes(out: &mut impl Sink, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => put_bytes(out, bytes),
        None => out.push(0),
    }
}

#[inline(always)]
pub fn put_str(out: &mut impl Sink, text: &str) {
    put_bytes(out, text.as_bytes());
}

#[inline(always)]
pub fn put_nullable_str(out: &mut impl Sink, text: Option<&str>) {
    put_nullable_bytes(out, text.map(str::as_bytes));
}

#[inline(always)]
pub fn uvarint_len(value: usize) -> usize {
    // Seven bits a byte, and at least one byte.
    (38 - (value as u32 | 1).leading_zeros() as usize) / 7
}

#[inline(always)]
pub fn bytes_len(bytes: &[u8]) -> usize {
    uvarint_len(bytes.len() + 1) + bytes.len()
}

#[inline(always)]
pub fn nullable_bytes_len(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, bytes_len)
}

#[inline(always)]
pub fn str_len(text: &str) -> usize {
    bytes_len(text.as_bytes())
}

#[inline(always)]
pub fn nullable_str_len(text: Option<&str>) -> usize {
    text.map_or(1, str_len)
}

#[inline(always)]
pub fn array_len<T>(array: &[T], len: impl FnMut(&T) -> usize) -> usize {
    uvarint_len(array.len() + 1) + array.iter().map(len).sum::<usize>()
}

/// An array of 32-bit numbers, in whatever form.
pub trait Ints {
    fn put(&self, out: &mut impl Sink);
    fn wire_len(&self) -> usize;
}

/// As decoded: bytes of a frame.
impl Ints for &[u8] {
    #[inline(always)]
    fn put(&self, out: &mut impl Sink) {
        put_uvarint(out, self.len() / 4 + 1);
        out.extend_from_slice(self);
    }

    #[inline(always)]
    fn wire_len(&self) -> usize {
        uvarint_len(self.len() / 4 + 1) + self.len()
    }
}

/// As a program makes them.
impl Ints for Vec<i32> {
    #[inline(always)]
    fn put(&self, out: &mut impl Sink) {
        put_uvarint(out, self.len() + 1);
        for value in self {
            out.extend_from_slice(&value.to_be_bytes());
        }
    }

    #[inline(always)]
    fn wire_len(&self) -> usize {
        uvarint_len(self.len() + 1) + 4 * self.len()
    }
}
