//! How the rows of a text table are written: what separates fields, which sign marks decimals, where comments start.

use std::borrow::Cow;

use crate::formats::ascii::{fields as words, number};

/// A line that holds a row, without its comment.
#[derive(Clone, Copy, Debug)]
pub(super) struct TextRow<'a> {
    pub(super) line: usize,
    pub(super) text: &'a [u8],
}

/// What separates the fields of a row, and how their numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RowSyntax {
    /// A comma, semicolon or tabulator; `None` for any run of blanks.
    pub(super) delimiter: Option<u8>,
    /// Whether numbers may have a comma for their point.
    pub(super) decimal_comma: bool,
}

impl RowSyntax {
    /// The syntax of a table that has this line: semicolons, else tabulators, commas or blanks between fields.
    ///
    /// Commas inside of blank-separated numbers (`1,5 2,5 3,5`) are decimal marks.
    pub(super) fn detect(line: &[u8]) -> Self {
        let bare = without_quoted(line);
        if bare.contains(&b';') {
            return Self { delimiter: Some(b';'), decimal_comma: true };
        }
        let has_comma = bare.contains(&b',');
        if has_comma && words(&bare).count() >= 3 && words(&bare).all(|word| decimal(word).is_some()) {
            return Self { delimiter: None, decimal_comma: true };
        }
        let cells: Vec<&[u8]> = bare.split(|b| *b == b'\t').map(<[u8]>::trim_ascii).collect();
        if cells.len() >= 3
            && (cells.len() != words(&bare).count() || cells.iter().any(|c| number(c).is_none()))
        {
            return Self { delimiter: Some(b'\t'), decimal_comma: true };
        }
        Self { delimiter: has_comma.then_some(b','), decimal_comma: false }
    }

    /// The fields of a line, without the blanks and quotes around them.
    pub(super) fn fields(self, line: &[u8]) -> Vec<&[u8]> {
        let Some(delimiter) = self.delimiter else {
            return words(line).map(unquoted).collect();
        };
        if !line.contains(&b'"') {
            return line.split(|b| *b == delimiter).map(<[u8]>::trim_ascii).collect();
        }
        let mut in_quotes = false;
        let ends_field = |b: &u8| {
            in_quotes ^= *b == b'"';
            *b == delimiter && !in_quotes
        };
        line.split(ends_field).map(|field| unquoted(field.trim_ascii())).collect()
    }

    /// The number that a field spells.
    pub(super) fn number(self, field: &[u8]) -> Option<f64> {
        number(field)
            .or_else(|| decimal(field).filter(|_| self.decimal_comma || self.delimiter == Some(b',')))
    }
}

/// The number that a field with a comma for its point spells; a whole number needs none.
fn decimal(field: &[u8]) -> Option<f64> {
    match field.iter().filter(|b| **b == b',').count() {
        0 => number(field),
        1 if !field.contains(&b'.') && !field.starts_with(b",") && !field.ends_with(b",") => {
            let point: Vec<u8> = field.iter().map(|&b| if b == b',' { b'.' } else { b }).collect();
            number(&point)
        }
        _ => None,
    }
}

fn unquoted(field: &[u8]) -> &[u8] {
    let inner = field.strip_prefix(b"\"").and_then(|field| field.strip_suffix(b"\""));
    inner.unwrap_or(field).trim_ascii()
}

/// The line without what stands in quotes.
fn without_quoted(line: &[u8]) -> Cow<'_, [u8]> {
    if !line.contains(&b'"') {
        return Cow::Borrowed(line);
    }
    Cow::Owned(line.split(|b| *b == b'"').step_by(2).flatten().copied().collect())
}

/// The text of a line that is all comment (`#`, `//`, `%`), without its marks; spreadsheets take `sep=;` for one.
pub(super) fn comment_of(line: &[u8]) -> Option<&[u8]> {
    let is_mark = |b: &u8| matches!(b, b'#' | b'/' | b'%');
    let is_comment = line.starts_with(b"#") || line.starts_with(b"//") || line.starts_with(b"%");
    if line.starts_with(b"sep=") {
        return Some(b"");
    }
    let start = line.iter().position(|b| !is_mark(b)).unwrap_or(line.len());
    is_comment.then(|| line[start..].trim_ascii())
}

/// A line without the comment at its end. Between commas, semicolons and tabulators text may hold `#` and `//`
/// too: there a comment needs a blank before it.
pub(super) fn without_comment(line: &[u8]) -> &[u8] {
    let hash = memchr::memchr(b'#', line);
    let slashes = memchr::memmem::find(line, b"//");
    let Some(first) = hash.into_iter().chain(slashes).min() else { return line };
    if !line.iter().any(|b| matches!(b, b',' | b';' | b'\t')) {
        return &line[..first];
    }
    let starts = |at: &usize| line[*at] == b'#' || line[*at..].starts_with(b"//");
    let after_blank = |at: &usize| *at == 0 || line[*at - 1] == b' ';
    (first..line.len()).filter(starts).find(after_blank).map_or(line, |at| &line[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_syntax_is_found_in_a_line() {
        for (line, delimiter, decimal_comma) in [
            ("1 2\t3", None, false),
            ("1\t2\t3", None, false),
            ("1,2,3", Some(b','), false),
            ("1, 2, 3", Some(b','), false),
            ("1,5;2,5;3,5", Some(b';'), true),
            ("1,5 2,5 3,5", None, true),
            ("-1,5\t2\t3,5e2", None, true),
            ("Rome\t1,5\t2,5", Some(b'\t'), true),
            ("1\t\t3", Some(b'\t'), true),
            ("\"a;b\",1,2", Some(b','), false),
            ("2020-01-01 10:00:00,1,2", Some(b','), false),
        ] {
            assert_eq!(RowSyntax::detect(line.as_bytes()), RowSyntax { delimiter, decimal_comma }, "{line}");
        }
    }

    #[test]
    fn fields_and_their_numbers() {
        let fields = |line: &'static str| RowSyntax::detect(line.as_bytes()).fields(line.as_bytes());
        assert_eq!(fields("\"a,b\", 1 ,\"2\",,"), [&b"a,b"[..], b"1", b"2", b"", b""]);
        assert_eq!(fields("\"x\" \"y\" z"), [b"x", b"y", b"z"]);
        let comma = RowSyntax { delimiter: Some(b';'), decimal_comma: true };
        assert_eq!(comma.number(b"-1,25"), Some(-1.25));
        assert_eq!(comma.number(b"1.25"), Some(1.25));
        for odd in ["1.234,5", "1,234,5", "1,", ",5", "", "x"] {
            assert_eq!(comma.number(odd.as_bytes()), None, "{odd}");
        }
        assert_eq!(RowSyntax { delimiter: None, decimal_comma: false }.number(b"1,5"), None);
    }

    #[test]
    fn comments_are_cut_where_they_can_be_some() {
        assert_eq!(without_comment(b"1 2 3#c"), b"1 2 3");
        assert_eq!(without_comment(b"1,2,3 // c"), b"1,2,3 ");
        assert_eq!(without_comment(b"http://a#b,1,2 # c"), b"http://a#b,1,2 ");
        assert_eq!(comment_of(b"//X,Y,Z"), Some(&b"X,Y,Z"[..]));
        assert_eq!(comment_of(b"## a"), Some(&b"a"[..]));
        assert_eq!(comment_of(b"/ a"), None);
    }
}
