//! The tagged fields at the end of a struct.

use super::{Leaves, Reader, Result, fault};
use crate::runtime::{DecodeError, UnknownTags};

impl<'r, 'a, L: Leaves<'r, 'a>> Reader<'r, 'a, L> {
    /// Reads the end of a struct without known tagged fields.
    #[inline]
    pub fn end_struct(&mut self, unknown: &mut UnknownTags) -> Result<()> {
        if !self.flexible {
            return Ok(());
        }
        match self.rest.split_first() {
            Some((0, rest)) => {
                self.rest = rest;
                Ok(())
            }
            _ => self.aside(|r| r.unknown_tags(unknown)),
        }
    }

    #[cold]
    #[inline(never)]
    fn unknown_tags(&mut self, unknown: &mut UnknownTags) -> Result<()> {
        for _ in 0..self.tag_count()? {
            let (tag, size) = self.tag()?;
            self.unknown_tag(unknown, tag, size)?;
        }
        Ok(())
    }

    /// Reads the number of tagged fields at the end of a struct.
    #[inline]
    pub fn tag_count(&mut self) -> Result<u32> {
        let count = self.uvarint()?;
        let limit = self.limits.max_tagged_fields;
        if count > limit {
            return Err(fault::tags_over_limit(count, limit, self.offset()));
        }
        Ok(count)
    }

    /// Reads a tag and the size of its payload, which must be there.
    #[inline]
    pub fn tag(&mut self) -> Result<(u32, usize)> {
        let tag = self.uvarint()?;
        let size = self.uvarint()? as usize;
        if size > self.rest.len() {
            return Err(self.truncated(size));
        }
        Ok((tag, size))
    }

    /// Keeps the payload of a tag that the schema does not know.
    #[inline]
    pub fn unknown_tag(&mut self, unknown: &mut UnknownTags, tag: u32, size: usize) -> Result<()> {
        self.aside(|r| r.keep_tag(unknown, tag, size))
    }

    #[cold]
    #[inline(never)]
    fn keep_tag(&mut self, unknown: &mut UnknownTags, tag: u32, size: usize) -> Result<()> {
        // A field costs many times over what the shortest takes on the wire, which is why their
        // number has a limit of its own.
        self.charge(size + unknown.growth())?;
        let data = self.take(size)?;
        unknown.push(tag, data.to_vec());
        Ok(())
    }

    /// Takes the payload of a tag that nobody wants to keep.
    pub(crate) fn skip_tag(&mut self, size: usize) -> Result<()> {
        self.take(size).map(drop)
    }

    /// Where a tagged field that begins here has to end.
    #[inline]
    pub fn tag_end(&self, size: usize) -> usize {
        self.rest.len() - size
    }

    /// Checks that a tagged field took as many bytes as it claimed.
    #[inline]
    pub fn check_tag_end(&self, tag: u32, size: usize, end: usize) -> Result<()> {
        if self.rest.len() == end {
            return Ok(());
        }
        let taken = (end + size).saturating_sub(self.rest.len());
        Err(fault::tag_size(tag, size, taken, self.offset()))
    }

    /// A tag that the schema knows, but not in this version.
    #[inline]
    pub fn tag_not_in_version(&self, tag: u32) -> DecodeError {
        fault::tag_not_in_version(tag, self.offset())
    }
}
