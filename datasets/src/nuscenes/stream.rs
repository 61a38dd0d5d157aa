//! Defines how a table, one JSON array of objects, is read row by row through a small window.
//!
//! Rows are parsed where they lie in a window of 1 MiB; a row that runs past the end of the
//! window is parsed again once the window has moved on. So a table of any size needs 1 MiB, a row
//! is scanned about once, and no claim in the file can make the reader allocate more.

use std::io::{self, Read};
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::broken_row::BrokenRow;
use crate::error::{Error, ParseError, io_error};

/// Bytes held at a time, and the longest row allowed (real rows have below 1 KiB; the longest,
/// the `log_tokens` of map.json, below 8 KiB).
const WINDOW: usize = 1 << 20;

/// What went wrong while streaming; the path is added by [`StreamError::in_file`].
#[derive(Debug)]
pub(super) enum StreamError {
    /// The system could not read.
    Io(io::Error),
    /// The bytes are not a table, or a row was refused.
    Parse(ParseError),
}

impl StreamError {
    /// The same problem, in the file at `path`.
    pub(super) fn in_file(self, path: &Path) -> Error {
        match self {
            Self::Io(source) => io_error(path, source),
            Self::Parse(problem) => problem.in_file(path),
        }
    }
}

impl From<io::Error> for StreamError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ParseError> for StreamError {
    fn from(error: ParseError) -> Self {
        Self::Parse(error)
    }
}

/// Hands each row of a table and its number (from 0) to `each`; returns the number of rows.
///
/// # Errors
/// Fails if reading fails, the bytes are not one JSON array of objects that have the fields of
/// `T`, a row is longer than 1 MiB, or `each` refuses a row. Problems of the JSON name the line.
pub(super) fn stream_rows<T: DeserializeOwned>(
    reader: impl Read,
    mut each: impl FnMut(usize, T) -> Result<(), ParseError>,
) -> Result<usize, StreamError> {
    stream_all_rows(reader, |number, row| each(number, row.map_err(|broken: BrokenRow| broken.problem)?))
}

/// Hands each row of a table to `each` as [`stream_rows`] does, also those that are objects without the fields of `T`.
///
/// # Errors
/// Fails as [`stream_rows`] does, but for what is wrong with the fields of a row.
pub(super) fn stream_all_rows<T: DeserializeOwned>(
    reader: impl Read,
    mut each: impl FnMut(usize, Result<T, BrokenRow>) -> Result<(), ParseError>,
) -> Result<usize, StreamError> {
    let mut window = JsonWindow::new(reader);
    window.expect(b"[", "a JSON array of rows: `[`")?;
    let mut rows = 0;
    if window.peek()? == Some(b']') {
        window.skip();
    } else {
        loop {
            each(rows, window.row(rows)?)?;
            rows += 1;
            if window.expect(b",]", "`,` or `]` after a row")? == b']' {
                break;
            }
        }
    }
    match window.peek()? {
        None => Ok(rows),
        Some(byte) => {
            let found = format!("{:?}", char::from(byte));
            Err(ParseError::line(window.line, "nothing after the closing `]`", found).into())
        }
    }
}

/// The part of a file that is in memory, and the line where it starts.
struct JsonWindow<R> {
    reader: R,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    at_end: bool,
    line: usize,
}

impl<R: Read> JsonWindow<R> {
    fn new(reader: R) -> Self {
        Self { reader, bytes: vec![0; WINDOW], start: 0, end: 0, at_end: false, line: 1 }
    }

    /// Moves what is left to the front and reads until the window is full or the file ends.
    fn fill(&mut self) -> io::Result<()> {
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        while self.end < self.bytes.len() && !self.at_end {
            match self.reader.read(&mut self.bytes[self.end..]) {
                Ok(0) => self.at_end = true,
                Ok(n) => self.end += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// The next byte that is no white space, not yet taken.
    fn peek(&mut self) -> io::Result<Option<u8>> {
        loop {
            while let Some(&byte) = self.bytes[..self.end].get(self.start) {
                match byte {
                    b'\n' => self.line += 1,
                    b' ' | b'\t' | b'\r' => {}
                    _ => return Ok(Some(byte)),
                }
                self.start += 1;
            }
            if self.at_end {
                return Ok(None);
            }
            self.fill()?;
        }
    }

    /// Takes the byte that [`JsonWindow::peek`] showed.
    fn skip(&mut self) {
        self.start += 1;
    }

    /// Takes one of the `allowed` bytes.
    fn expect(&mut self, allowed: &[u8], what: &str) -> Result<u8, StreamError> {
        let found = match self.peek()? {
            Some(byte) if allowed.contains(&byte) => {
                self.skip();
                return Ok(byte);
            }
            Some(byte) => format!("{:?}", char::from(byte)),
            None => "the end of the file".to_owned(),
        };
        Err(ParseError::line(self.line, what, found).into())
    }

    /// Takes one row; `number` counts them.
    fn row<T: DeserializeOwned>(&mut self, number: usize) -> Result<Result<T, BrokenRow>, StreamError> {
        match self.peek()? {
            Some(b'{') => {}
            Some(byte) => return Err(self.bad_row(0, format!("{:?}", char::from(byte)))),
            None => return Err(self.bad_row(0, "the end of the file".to_owned())),
        }
        loop {
            let held = &self.bytes[self.start..self.end];
            let mut values = serde_json::Deserializer::from_slice(held).into_iter::<T>();
            match values.next() {
                Some(Ok(row)) => {
                    let used = values.byte_offset();
                    self.take(used);
                    return Ok(Ok(row));
                }
                Some(Err(e)) if e.is_eof() && !self.at_end => {
                    if held.len() == WINDOW {
                        return Err(self.bad_row(0, "one longer than 1 MiB".to_owned()));
                    }
                    self.fill()?;
                }
                Some(Err(e)) if e.is_data() => return self.broken_row::<T>(number, &e).map(Err),
                Some(Err(e)) => return Err(self.bad_row(e.line().saturating_sub(1), without_place(&e))),
                None => return Err(self.bad_row(0, "nothing".to_owned())),
            }
        }
    }

    /// Takes a row that is no `T` for `reason`, if it is an object at all.
    fn broken_row<T: DeserializeOwned>(
        &mut self,
        number: usize,
        reason: &serde_json::Error,
    ) -> Result<BrokenRow, StreamError> {
        let (lines_down, text) = (reason.line().saturating_sub(1), without_place(reason));
        // The window may end in the row, though the reason stands before that.
        self.fill()?;
        let held = &self.bytes[self.start..self.end];
        let mut values = serde_json::Deserializer::from_slice(held).into_iter::<Map<String, Value>>();
        let Some(Ok(columns)) = values.next() else { return Err(self.bad_row(lines_down, text)) };
        let (used, line) = (values.byte_offset(), self.line + lines_down);
        self.take(used);
        Ok(BrokenRow::new::<T>(columns, number, line, &text))
    }

    /// Takes so many bytes.
    fn take(&mut self, used: usize) {
        self.line += memchr::memchr_iter(b'\n', &self.bytes[self.start..][..used]).count();
        self.start += used;
    }

    fn bad_row(&self, lines_down: usize, found: String) -> StreamError {
        ParseError::line(self.line + lines_down, "a row of the table: a JSON object", found).into()
    }
}

/// The message of a JSON error without its own line and column, which count from the window.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(message, _)| message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize)]
    struct OneColumn {
        a: u32,
    }

    /// Gives at most `step` bytes a call.
    struct Trickle<'a>(&'a [u8], usize);

    impl Read for Trickle<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let n = self.0.len().min(self.1).min(into.len());
            into[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    fn parse(reader: impl Read) -> Result<Vec<u32>, String> {
        let mut seen = Vec::new();
        let each = |i: usize, row: OneColumn| {
            assert_eq!(i, seen.len());
            seen.push(row.a);
            Ok(())
        };
        match stream_rows(reader, each) {
            Ok(n) => {
                assert_eq!(n, seen.len());
                Ok(seen)
            }
            Err(StreamError::Parse(e)) => Err(e.to_string()),
            Err(StreamError::Io(e)) => panic!("{e}"),
        }
    }

    fn error(text: &str) -> String {
        parse(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn rows_of_well_formed_tables() {
        assert_eq!(parse(b" [ ] \n".as_slice()), Ok(vec![]));
        assert_eq!(parse(b"[{\"a\":1}]".as_slice()), Ok(vec![1]));
        let text = b"[\n{\"a\": 1, \"x\": {\"a\": [null, \"]}\\\"\"]}},\r\n\t{\"a\":2}\n]\n";
        assert_eq!(parse(text.as_slice()), Ok(vec![1, 2]));
        assert_eq!(parse(Trickle(text, 1)), Ok(vec![1, 2]));
    }

    #[test]
    fn malformed_tables_name_the_line() {
        let start = "expected a JSON array of rows: `[`, found";
        let row = "expected a row of the table: a JSON object, found";
        let columns = "expected a row of the table: a JSON object with its columns, found";
        assert_eq!(error(""), format!("{start} the end of the file, line 1"));
        assert_eq!(error("\n{\"a\":1}"), format!("{start} '{{', line 2"));
        assert_eq!(error("[1]"), format!("{row} '1', line 1"));
        assert_eq!(error("[\n{\"a\":1},\n"), format!("{row} the end of the file, line 3"));
        assert_eq!(error("[\n{\"a\":1},\n]"), format!("{row} ']', line 3"));
        assert_eq!(error("[\n{\n\"b\":1}\n]"), format!("{columns} missing field `a` of row 0, line 3"));
        assert_eq!(
            error("[\n{\"a\":1},\n{\n\"a\":\"x\"}]"),
            format!("{columns} invalid type: string \"x\", expected u32 in column \"a\" of row 1, line 4")
        );
        assert_eq!(error("[{\"a\":1"), format!("{row} EOF while parsing an object, line 1"));
        assert_eq!(error("[{\"a\":1}"), "expected `,` or `]` after a row, found the end of the file, line 1");
        assert_eq!(error("[{\"a\":1}\n{\"a\":2}]"), "expected `,` or `]` after a row, found '{', line 2");
        assert_eq!(error("[]\n\nx"), "expected nothing after the closing `]`, found 'x', line 3");
    }

    #[test]
    fn rows_across_the_end_of_the_window_and_rows_too_long() {
        let mut text = String::from("[\n");
        let rows = 60_000_u32;
        for i in 0..rows {
            let filler = "y".repeat(i as usize % 50);
            text += &format!("{{\"a\":\n{i}, \"x\":\"{filler}\"}},\n");
        }
        text += "{\"a\":7}\n]";
        assert!(text.len() > 2 * WINDOW);
        let expected: Vec<u32> = (0..rows).chain([7]).collect();
        assert_eq!(parse(text.as_bytes()), Ok(expected));
        let broken = text.replace("{\"a\":7}", "{\"a\":-7}");
        assert!(parse(broken.as_bytes()).unwrap_err().ends_with(&format!("line {}", 2 * rows + 2)));
        let long = format!("[{{\"a\":1}},\n{{\"x\":\"{}\",\"a\":1}}]", "z".repeat(2 * WINDOW));
        assert_eq!(
            error(&long),
            "expected a row of the table: a JSON object, found one longer than 1 MiB, line 2"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_give_rows_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(bytes.as_slice());
        }

        #[test]
        fn agrees_with_serde_json(
            bytes in proptest::collection::vec(proptest::sample::select(b"[]{},:\"a1 \\\n".as_slice()), 0..24),
            step in 1_usize..4,
        ) {
            let whole = serde_json::from_slice::<Vec<serde_json::Map<String, serde_json::Value>>>(&bytes);
            let mut count = 0;
            let each = |_, _: serde_json::Map<String, serde_json::Value>| { count += 1; Ok(()) };
            let ours = stream_rows(Trickle(&bytes, step), each).ok();
            prop_assert_eq!(ours, whole.ok().map(|rows| rows.len()));
            prop_assert!(ours.is_none_or(|n| n == count));
        }
    }
}
