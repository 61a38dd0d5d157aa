//! Text tables of points: `xyz`, `txt`, `csv`, `pts`; the delimiter is found, columns are named.
//!
//! A first line that is not numeric is a header of column names (unknown names are passed over);
//! a first line of one whole number above wider rows is the row count that laser scanners write.

use jepa3d_schemas::PointCloud;

use super::ascii::{Lines, decode, integer, number, quote, take_number};
use super::columns::{ColorScale, ColumnRole, ColumnSpec, Columns};
use super::parsed::Parsed;
use crate::error::ParseError;

/// A rectangular table of numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct TextTable {
    /// Names from a header line, one a column.
    pub(crate) header: Option<Vec<String>>,
    /// Columns of every row.
    pub(crate) width: usize,
    /// Numbers, row after row; NaN where the file says so.
    pub(crate) values: Vec<f64>,
}

impl TextTable {
    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.values.len().checked_div(self.width).unwrap_or(0)
    }

    /// The values of one column.
    ///
    /// # Panics
    /// If there is no such column.
    pub(crate) fn column(&self, column: usize) -> Vec<f64> {
        assert!(column < self.width, "column {column} of {}", self.width);
        self.values.iter().skip(column).step_by(self.width).copied().collect()
    }

    /// The cloud that the columns make: by the names of `spec`, else by the header, else by width.
    ///
    /// # Errors
    /// Fails if the columns have no names, x, y or z is missing, a label is no whole number of 16
    /// bits, or no finite row is left.
    pub(crate) fn make_cloud(&self, spec: &ColumnSpec) -> Result<Parsed<PointCloud>, ParseError> {
        let roles = match &self.header {
            Some(names) if *spec == ColumnSpec::default() => {
                names.iter().map(|n| ColumnRole::from_name(n)).collect()
            }
            _ => spec.roles(self.width)?,
        };
        let mut columns = Columns::default();
        for (i, role) in roles.iter().enumerate() {
            if let Some(role) = role {
                columns.push(*role, self.column(i));
            }
        }
        columns.into_cloud(ColorScale::Guess)
    }
}

/// Reads points from a text table, its columns named by `spec`, else by its header or its width.
///
/// # Errors
/// Fails as `parse_table` and `TextTable::make_cloud` do.
pub fn parse_columns(bytes: &[u8], spec: &ColumnSpec) -> Result<Parsed<PointCloud>, ParseError> {
    parse_table(bytes)?.make_cloud(spec)
}

/// Reads a table of numbers separated by commas, semicolons or blanks; `#` and `//` start comments.
///
/// # Errors
/// Fails (naming the line) if there are no rows, a field is no number, a row is longer or shorter
/// than the first, or a count line or header contradicts the rows.
pub(crate) fn parse_table(bytes: &[u8]) -> Result<TextTable, ParseError> {
    let text = decode(bytes);
    let mut lines = Lines::new(&text);
    let mut table = TextTable::default();
    let mut names = Some(Vec::new());
    let Some(mut first) = next_row(&mut lines, &mut names) else {
        return Err(ParseError::file("rows of numbers", "none"));
    };
    table.header = names.filter(|names: &Vec<String>| !names.is_empty());
    let after_first = next_row(&mut lines.clone(), &mut None);
    let count = integer::<usize>(first.text)
        .filter(|_| after_first.is_some_and(|next| split_fields(next.text).count() > 1));
    let counted_on = first.line;
    if count.is_some()
        && let Some(next) = next_row(&mut lines, &mut None)
    {
        first = next;
    }
    read_rows(&mut table, first, &mut lines)?;
    let names = table.header.as_ref().map_or(table.width, Vec::len);
    if names != table.width {
        return Err(ParseError::line(1, format!("{} column names", table.width), names.to_string()));
    }
    match count {
        Some(count) if count != table.rows() => Err(ParseError::line(
            counted_on,
            format!("the count of the {} rows", table.rows()),
            count.to_string(),
        )),
        _ => Ok(table),
    }
}

/// A line that holds a row of numbers, without its comment.
#[derive(Clone, Copy)]
struct TextRow<'a> {
    line: usize,
    text: &'a [u8],
}

/// Reads the row `first` and all that follow it.
fn read_rows(table: &mut TextTable, first: TextRow<'_>, lines: &mut Lines<'_>) -> Result<(), ParseError> {
    let delimiter = find_delimiter(first.text);
    let mut next = Some(first);
    while let Some(row) = next {
        let before = table.values.len();
        push_numbers(&mut table.values, row, delimiter)?;
        let width = table.values.len() - before;
        if before == 0 {
            table.width = width;
        } else if width != table.width {
            return Err(ParseError::line(row.line, format!("{} numbers", table.width), quote(row.text)));
        }
        next = next_row(lines, &mut None);
    }
    Ok(())
}

/// The next row of numbers. Before the first row a line of names is taken as the header, also as a
/// comment if all its words are column names.
fn next_row<'a>(lines: &mut Lines<'a>, header: &mut Option<Vec<String>>) -> Option<TextRow<'a>> {
    loop {
        let (number, line) = lines.next()?;
        let content = without_comment(line).trim_ascii();
        if let Some(header) = header.as_mut().filter(|header| header.is_empty()) {
            *header = header_names(line.trim_ascii(), content).unwrap_or_default();
            if !header.is_empty() {
                continue;
            }
        }
        if !content.is_empty() {
            return Some(TextRow { line: number, text: content });
        }
    }
}

fn header_names(line: &[u8], content: &[u8]) -> Option<Vec<String>> {
    let commented = content.is_empty();
    let line = if commented { line.trim_ascii_start() } else { content };
    let line = line.strip_prefix(b"//").or(line.strip_prefix(b"#")).unwrap_or(line);
    let names: Vec<String> = split_fields(line)
        .map(|name| String::from_utf8_lossy(name).trim_matches('"').to_ascii_lowercase())
        .collect();
    let is_header = if commented {
        names.iter().any(|n| n == "x") && names.iter().all(|n| ColumnRole::from_name(n).is_some())
    } else {
        split_fields(line).next().is_some_and(|first| number(first).is_none())
    };
    is_header.then_some(names)
}

fn without_comment(line: &[u8]) -> &[u8] {
    let line = super::ascii::without_comment(line);
    memchr::memmem::find(line, b"//").map_or(line, |at| &line[..at])
}

fn find_delimiter(line: &[u8]) -> u8 {
    [b';', b','].into_iter().find(|d| line.contains(d)).unwrap_or(b' ')
}

/// Fields of a line whose delimiter is not known yet.
fn split_fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let delimiter = find_delimiter(line);
    let is_delimiter =
        move |b: &u8| if delimiter == b' ' { b.is_ascii_whitespace() } else { *b == delimiter };
    line.split(is_delimiter).map(<[u8]>::trim_ascii).filter(|field| !field.is_empty())
}

fn push_numbers(values: &mut Vec<f64>, row: TextRow<'_>, delimiter: u8) -> Result<(), ParseError> {
    let wrong = |field: &[u8]| ParseError::line(row.line, "a number", quote(field));
    if delimiter == b' ' {
        let mut rest = row.text;
        while !rest.is_empty() {
            values.push(take_number(&mut rest).ok_or_else(|| wrong(rest))?);
        }
        return Ok(());
    }
    // A delimiter at the end of a row closes it; it opens no empty field.
    let text = row.text.strip_suffix(&[delimiter]).unwrap_or(row.text);
    for field in text.split(|b| *b == delimiter) {
        values.push(number(field.trim_ascii()).ok_or_else(|| wrong(field))?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> TextTable {
        parse_table(text.as_bytes()).unwrap()
    }

    fn error(text: &str) -> String {
        parse_columns(text.as_bytes(), &ColumnSpec::default()).unwrap_err().to_string()
    }

    #[test]
    fn delimiters_are_found() {
        for text in
            ["1 2 3\n4 5 6\n", "1,2,3\r\n4, 5 ,6", "1;2;3;\n4;5;6;\n", "1\t2\t3\n\n# c\n4\t5\t6 // d\n"]
        {
            let table = table(text);
            assert_eq!((table.width, table.rows(), table.column(1)), (3, 2, vec![2.0, 5.0]), "{text}");
        }
    }

    #[test]
    fn counts_and_headers() {
        assert_eq!(table("2\n1 2 3\n4 5 6\n").rows(), 2);
        assert_eq!(table("2\n3\n4\n").rows(), 3);
        assert_eq!(error("7\n1 2 3\n"), "expected the count of the 1 rows, found 7, line 1");
        for text in
            ["Z,x,\"Y\",time\n3,1,2,9\n", "// z x y time\nZ x y time\n3 1 2 9\n", "\n#Z x y i\n3 1 2 9"]
        {
            let cloud = parse_columns(text.as_bytes(), &ColumnSpec::default()).unwrap().geometry;
            assert_eq!(cloud.positions, [[1.0, 2.0, 3.0]], "{text}");
        }
        assert_eq!(error("x,y,z\n1,2\n"), "expected 2 column names, found 3, line 1");
    }

    #[test]
    fn columns_by_name() {
        let spec =
            ColumnSpec::new(&["x", "y", "z", "nx", "ny", "nz", "label", "intensity", "r", "g", "b", "_"])
                .unwrap();
        let cloud = parse_columns(b"1 2 3 0 0 1 7 0.5 255 0 1 99\n", &spec).unwrap().geometry;
        assert_eq!(cloud.normals, Some(vec![[0.0, 0.0, 1.0]]));
        assert_eq!(cloud.point_labels, Some(vec![7]));
        assert_eq!(cloud.intensity, Some(vec![0.5]));
        assert_eq!(cloud.colors, Some(vec![[255, 0, 1]]));
        let six = parse_columns(b"1 2 3 0 1 0", &ColumnSpec::default()).unwrap().geometry;
        assert_eq!(six.normals, Some(vec![[0.0, 1.0, 0.0]]));
    }

    #[test]
    fn errors_name_the_line() {
        assert_eq!(error("1 2 3\n4 5\n"), "expected 3 numbers, found \"4 5\", line 2");
        assert_eq!(error("1 2 3\n4 5 x\n"), "expected a number, found \"x\", line 2");
        assert_eq!(error("1,2,3\n4,,6\n"), "expected a number, found \"\", line 2");
        assert_eq!(error(""), "expected rows of numbers, found none");
        assert!(error("1 2 3 4\n").ends_with("a header line or a list of column names, found 4 columns"));
        assert_eq!(
            error("nan 0 0\ninf 0 0\n"),
            "expected at least one finite point, found 2 rows, none finite"
        );
    }

    #[test]
    fn rows_that_are_not_finite_are_dropped_with_a_warning() {
        let parsed = parse_columns(b"1 2 3\nnan 0 0\n", &ColumnSpec::default()).unwrap();
        assert_eq!(parsed.geometry.len(), 1);
        assert_eq!(parsed.warnings, ["1 of 2 points are not finite and were dropped"]);
    }
}
