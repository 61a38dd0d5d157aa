//! The bytes of a pickle, read from front to back and never past the end.

use std::rc::Rc;

/// Where a pickle is not one, and why.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fault {
    /// Byte of the instruction.
    pub at: usize,
    pub expected: String,
    pub found: String,
}

/// Bytes and how many of them are read.
pub(super) struct Bytes<'a> {
    bytes: &'a [u8],
    pub at: usize,
}

impl<'a> Bytes<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: u64) -> Result<&'a [u8], Fault> {
        let rest = &self.bytes[self.at..];
        match usize::try_from(len).ok().and_then(|len| rest.get(..len)) {
            Some(taken) => {
                self.at += taken.len();
                Ok(taken)
            }
            None => Err(self.fault(format!("{len} more bytes"), format!("{}, then the end", rest.len()))),
        }
    }

    pub fn byte(&mut self) -> Result<u8, Fault> {
        Ok(self.take(1)?[0])
    }

    /// A little-endian number of `size` bytes, up to 8.
    pub fn number(&mut self, size: u64) -> Result<u64, Fault> {
        Ok(self.take(size)?.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
    }

    /// Text behind its length, a number of `size` bytes.
    pub fn text(&mut self, size: u64) -> Result<Rc<str>, Fault> {
        let len = self.number(size)?;
        Ok(String::from_utf8_lossy(self.take(len)?).into())
    }

    /// The rest of a line, without its end.
    pub fn line(&mut self) -> Result<&'a str, Fault> {
        let line = self.raw_line()?;
        std::str::from_utf8(line).map_err(|_| self.fault("a line of text", "other bytes"))
    }

    /// The rest of a line in Latin-1, as protocol 0 writes texts.
    pub fn latin_line(&mut self) -> Result<String, Fault> {
        Ok(self.raw_line()?.iter().map(|&byte| char::from(byte)).collect())
    }

    fn raw_line(&mut self) -> Result<&'a [u8], Fault> {
        let len = self.bytes[self.at..].iter().position(|&b| b == b'\n');
        let len = len.ok_or_else(|| self.fault("a line", "no line end"))?;
        let line = self.take(len as u64 + 1)?;
        Ok(&line[..len])
    }

    /// A line that holds a number.
    pub fn decimal<T: std::str::FromStr>(&mut self) -> Result<T, Fault> {
        let line = self.line()?.trim_end_matches('L');
        line.parse()
            .map_err(|_| self.fault("a number", format!("{:?}", line.chars().take(20).collect::<String>())))
    }

    pub fn fault(&self, expected: impl ToString, found: impl ToString) -> Fault {
        Fault { at: self.at, expected: expected.to_string(), found: found.to_string() }
    }
}
