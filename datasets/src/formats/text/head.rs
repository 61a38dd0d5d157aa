//! What stands above the rows of a text table: comments, a row count, the names of the columns.

use super::syntax::{RowSyntax, TextRow, comment_of, without_comment};
use crate::error::ParseError;
use crate::formats::ascii::{Lines, integer, number, quote};
use crate::formats::column_names::{ColumnRole, ColumnSpec};

/// A line of column names.
#[derive(Clone, Debug)]
pub(super) struct NamesLine {
    pub(super) line: usize,
    pub(super) names: Vec<String>,
}

/// A line that states the number of rows, as laser scanners write it.
#[derive(Clone, Copy, Debug)]
pub(super) struct CountLine {
    pub(super) line: usize,
    pub(super) rows: usize,
}

/// The first row and what stands above it.
#[derive(Debug)]
pub(super) struct TextHead<'a> {
    /// The header line.
    pub(super) names: Option<NamesLine>,
    /// A comment that names x, y and z.
    pub(super) commented: Option<NamesLine>,
    pub(super) count: Option<CountLine>,
    /// Column numbers above the rows (`0,1,2`), which tables without names are exported with.
    pub(super) column_numbers: Option<usize>,
    pub(super) first: TextRow<'a>,
}

impl<'a> TextHead<'a> {
    /// Reads up to the first row, and takes that off `lines` too.
    ///
    /// A header is a line with a column named x, y or z, or one whose first field is no number; where `spec` names
    /// the columns, one in which no named column holds a number.
    ///
    /// # Errors
    /// Fails if there is no row.
    pub(super) fn read(lines: &mut Lines<'a>, spec: &ColumnSpec) -> Result<Self, ParseError> {
        let mut head = Self {
            names: None,
            commented: None,
            count: None,
            column_numbers: None,
            first: TextRow { line: 0, text: b"" },
        };
        loop {
            let Some((line, text)) = lines.next() else {
                return Err(ParseError::file("rows of numbers", "none"));
            };
            let text = text.trim_ascii();
            if let Some(comment) = comment_of(text) {
                head.offer_comment(line, comment);
                continue;
            }
            let row = TextRow { line, text: without_comment(text).trim_ascii() };
            if row.text.is_empty() || head.take(row, lines, spec) {
                continue;
            }
            head.first = row;
            return Ok(head);
        }
    }

    /// Whether a line is no row yet; what it says is kept.
    fn take(&mut self, row: TextRow<'a>, lines: &Lines<'a>, spec: &ColumnSpec) -> bool {
        let next = next_row(&mut lines.clone());
        let fields = |text: &'a [u8]| RowSyntax::detect(text).fields(text);
        if self.count.is_none()
            && let Some(rows) = integer(row.text)
            && next.is_some_and(|next| fields(next.text).len() > 1)
        {
            self.count = Some(CountLine { line: row.line, rows });
            return true;
        }
        if self.names.is_some() || self.column_numbers.is_some() {
            return false;
        }
        if is_header(&fields(row.text), spec) {
            self.names = Some(NamesLine { line: row.line, names: names_of(row.text) });
            return true;
        }
        if is_column_numbers(row.text) && next.is_some_and(|next| next.text.contains(&b'.')) {
            self.column_numbers = Some(row.line);
            return true;
        }
        false
    }

    fn offer_comment(&mut self, line: usize, comment: &[u8]) {
        let names = names_of(comment);
        let has = |role| names.iter().any(|name| ColumnRole::from_name(name) == Some(role));
        if has(ColumnRole::X) && has(ColumnRole::Y) && has(ColumnRole::Z) {
            self.commented = Some(NamesLine { line, names });
        }
    }
}

/// The next line that holds a row.
pub(super) fn next_row<'a>(lines: &mut Lines<'a>) -> Option<TextRow<'a>> {
    loop {
        let (line, text) = lines.next()?;
        let text = text.trim_ascii_start();
        let text = if text.starts_with(b"%") { b"" } else { without_comment(text).trim_ascii_end() };
        if !text.is_empty() {
            return Some(TextRow { line, text });
        }
    }
}

fn is_header(fields: &[&[u8]], spec: &ColumnSpec) -> bool {
    let is_number =
        |field: &&[u8]| RowSyntax { delimiter: None, decimal_comma: true }.number(field).is_some();
    let is_closed = fields.len() == spec.width() + 1 && fields.last().is_some_and(|last| last.is_empty());
    let fields = if is_closed { &fields[..spec.width()] } else { fields };
    if let Ok(roles) = spec.roles(fields.len())
        && !spec.is_default()
    {
        let mut named = fields.iter().zip(&roles).filter(|(_, role)| role.is_some());
        return named.all(|(field, _)| !is_number(field));
    }
    let is_position = |field: &&[u8]| {
        let role = ColumnRole::from_name(&String::from_utf8_lossy(field));
        matches!(role, Some(ColumnRole::X | ColumnRole::Y | ColumnRole::Z))
    };
    fields.iter().any(is_position) || !fields.first().is_some_and(is_number)
}

/// Whether a line is `0,1,2` and so on.
fn is_column_numbers(text: &[u8]) -> bool {
    let fields: Vec<&[u8]> = text.split(|b| *b == b',').collect();
    fields.len() >= 3 && fields.iter().enumerate().all(|(i, field)| integer(field) == Some(i))
}

/// Column names: in lines without delimiters a unit in brackets belongs to the name before it.
fn names_of(line: &[u8]) -> Vec<String> {
    let syntax = RowSyntax::detect(line);
    let mut names: Vec<String> = Vec::new();
    for field in syntax.fields(line) {
        let is_unit =
            matches!((field.first(), field.last()), (Some(b'['), Some(b']')) | (Some(b'('), Some(b')')));
        match names.last_mut() {
            Some(_) if syntax.delimiter.is_none() && is_unit => {}
            _ => names.push(String::from_utf8_lossy(field).to_ascii_lowercase()),
        }
    }
    names
}

/// Checks that commas between the fields of a table without names are no decimal marks (`1,5, 2,5, 3,5`).
///
/// # Errors
/// Fails if every second comma has a blank behind it, or if there is no point in the text but fields like `05`.
pub(super) fn check_commas(first: TextRow<'_>, text: &[u8]) -> Result<(), ParseError> {
    let wrong = |line, found: &[u8]| {
        let expected = "a point as decimal mark between commas (decimal commas are read between semicolons or tabulators)";
        Err(ParseError::line(line, expected, quote(found)))
    };
    let fields: Vec<&[u8]> = first.text.split(|b| *b == b',').collect();
    let alternates = |(i, field): (usize, &&[u8])| field.starts_with(b" ") == (i % 2 == 0 && i > 0);
    if fields.len() >= 6 && fields.len().is_multiple_of(2) && fields.iter().enumerate().all(alternates) {
        return wrong(first.line, first.text);
    }
    if memchr::memchr(b'.', text).is_some() {
        return Ok(());
    }
    for (line, row) in Lines::new(text).filter(|(line, _)| *line >= first.line) {
        let leads = |field: &[u8]| {
            let digits = field.trim_ascii();
            let digits = digits.strip_prefix(b"-").unwrap_or(digits);
            digits.len() > 1 && digits[0] == b'0' && digits[1].is_ascii_digit() && number(digits).is_some()
        };
        if row.split(|b| *b == b',').any(leads) {
            return wrong(line, row);
        }
    }
    Ok(())
}
