//! Text tables of points: `xyz`, `txt`, `csv`, `pts`; the delimiter is found, columns are named.
//!
//! A line of names is a header (names that mean nothing are passed over, and so is whatever their columns hold); a
//! first line of one whole number above wider rows is the row count that laser scanners write.

mod head;
mod syntax;
#[cfg(test)]
mod tests;

use jepa3d_schemas::{PointCloud, Warning, WarningKind};

use self::head::{CountLine, NamesLine, TextHead, check_commas, next_row};
use self::syntax::{RowSyntax, TextRow};
use super::ascii::{Lines, decode, quote, skip_blanks, take_number};
use super::colors::ColorType;
use super::column_names::{ColumnRole, ColumnSpec, NamedColumns};
use super::columns::Columns;
use super::parsed::Parsed;
use crate::budget::Budget;
use crate::error::ParseError;

/// A rectangular table of numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct TextTable {
    /// Names from a header line, one a column.
    pub(crate) header: Option<Vec<String>>,
    /// The values of each column, NaN where the file says so; empty for a column that was passed over.
    pub(crate) columns: Vec<Vec<f64>>,
}

impl TextTable {
    /// Number of columns.
    pub(crate) fn width(&self) -> usize {
        self.columns.len()
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.columns.iter().map(Vec::len).max().unwrap_or(0)
    }
}

/// Reads points from a text table, its columns named by `spec`, else by its header or its width.
///
/// # Errors
/// Fails as `parse_within` does, with the default budget.
pub fn parse_columns(bytes: &[u8], spec: &ColumnSpec) -> Result<Parsed<PointCloud>, ParseError> {
    parse_within(bytes, spec, &Budget::default())
}

/// Reads points from a text table within a budget.
///
/// # Errors
/// Fails as [`parse_table`] does (columns that are passed over may hold anything), or if the columns have no names,
/// x, y or z is missing, or no finite row is left.
pub(crate) fn parse_within(
    bytes: &[u8],
    spec: &ColumnSpec,
    budget: &Budget,
) -> Result<Parsed<PointCloud>, ParseError> {
    let text = decode(bytes);
    let mut lines = Lines::new(&text);
    let head = TextHead::read(&mut lines, spec)?;
    let plan = TablePlan::new(&head, next_row(&mut lines.clone()), spec)?;
    let NamedColumns { roles, mut warnings } = plan.roles(&head, spec)?;
    if plan.names.is_none() && spec.is_default() && plan.syntax.delimiter == Some(b',') {
        check_commas(head.first, &text)?;
    }
    let wanted: Vec<bool> = roles.iter().map(Option::is_some).collect();
    let table = plan.read_rows(&head, lines, &wanted, budget)?;
    let mut columns = Columns::default();
    for (role, values) in roles.iter().zip(table.columns) {
        if let Some(role) = role {
            columns.push(*role, values);
        }
    }
    if plan.names.is_none() && spec.is_default() && roles.len() == 6 {
        columns.set_unnamed();
    }
    warnings.extend(head.column_numbers.map(|line| {
        let text = format!("line {line} counts the columns from 0 and was not read as a point");
        Warning::new(WarningKind::ColumnsGuessed, text)
    }));
    let mut parsed = columns.into_cloud(ColorType::Text)?;
    parsed.warnings.splice(0..0, warnings);
    Ok(parsed)
}

/// Reads a table of numbers separated by commas, semicolons or blanks; `#`, `//` and `%` start comments.
///
/// # Errors
/// Fails (naming the line) if there are no rows, a field is no number, a row is longer or shorter than the first, a
/// count line or header contradicts the rows, or the budget does not suffice.
pub(crate) fn parse_table(bytes: &[u8], budget: &Budget) -> Result<TextTable, ParseError> {
    let text = decode(bytes);
    let mut lines = Lines::new(&text);
    let head = TextHead::read(&mut lines, &ColumnSpec::default())?;
    let plan = TablePlan::new(&head, next_row(&mut lines.clone()), &ColumnSpec::default())?;
    plan.read_rows(&head, lines, &vec![true; plan.width], budget)
}

/// How the rows of a table are read.
struct TablePlan {
    syntax: RowSyntax,
    width: usize,
    names: Option<Vec<String>>,
    /// Whether the names say nothing of a first column, which holds the names or numbers of the rows.
    has_index: bool,
}

impl TablePlan {
    /// The syntax is that of the first row; the width is that of the names, else of the first row.
    ///
    /// # Errors
    /// Fails if there is another number of names than of columns.
    fn new(head: &TextHead<'_>, second: Option<TextRow<'_>>, spec: &ColumnSpec) -> Result<Self, ParseError> {
        let syntax = RowSyntax::detect(head.first.text);
        let fields = syntax.fields(head.first.text);
        // A delimiter at the end of a row closes it; it opens no empty field.
        let closed =
            fields.len() > 1 && syntax.delimiter.is_some() && fields.last().is_some_and(|f| f.is_empty());
        let found = fields.len() - usize::from(closed);
        let Some(NamesLine { line, mut names }) = names_for(head, found) else {
            let width = if spec.width() == fields.len() { fields.len() } else { found };
            return Ok(Self { syntax, width, names: None, has_index: false });
        };
        if names.len() == found + 1 && names.last().is_some_and(String::is_empty) {
            names.pop();
        }
        let has_index = names.len() + 1 == found && has_index(syntax, head.first, second);
        if has_index {
            names.insert(0, String::new());
        }
        if names.len() != found && names.len() != fields.len() {
            return Err(ParseError::line(line, format!("{found} column names"), names.len().to_string()));
        }
        Ok(Self { syntax, width: names.len(), names: Some(names), has_index })
    }

    /// What the columns mean: by `spec`, else by the names, else by their number.
    ///
    /// # Errors
    /// Fails if there are no names and neither three nor six columns, or if x, y or z is missing.
    fn roles(&self, head: &TextHead<'_>, spec: &ColumnSpec) -> Result<NamedColumns, ParseError> {
        let Some(names) = &self.names else {
            return Ok(NamedColumns { roles: spec.roles(self.width)?, warnings: Vec::new() });
        };
        let names: Vec<Option<&str>> = names.iter().map(|name| Some(name.as_str())).collect();
        if !spec.is_default() {
            let roles = spec.roles(self.width)?;
            return Ok(NamedColumns { warnings: Vec::from_iter(warn_of_renamed(&names, &roles)), roles });
        }
        let mut named = NamedColumns::from_names(&names);
        named.require_position(&names)?;
        if self.has_index {
            let first = self.syntax.fields(head.first.text).first().copied().unwrap_or_default();
            let text =
                format!("the first column, {} in the first row, has no name; it is not read", quote(first));
            named.warnings.push(Warning::new(WarningKind::ColumnsGuessed, text));
        }
        Ok(named)
    }

    /// Reads the first row and all that follow, of them the `wanted` columns.
    fn read_rows(
        &self,
        head: &TextHead<'_>,
        mut lines: Lines<'_>,
        wanted: &[bool],
        budget: &Budget,
    ) -> Result<TextTable, ParseError> {
        let most = memchr::memchr_iter(b'\n', lines.rest()).count() + 2;
        let count = wanted.iter().filter(|wanted| **wanted).count();
        Columns::charge(budget, count, most)?;
        let mut columns: Vec<Vec<f64>> =
            wanted.iter().map(|wanted| Vec::with_capacity(if *wanted { most } else { 0 })).collect();
        let mut rows = 0;
        let mut next = Some(head.first);
        while let Some(row) = next {
            self.push_row(&mut columns, row, wanted)?;
            rows += 1;
            next = next_row(&mut lines);
        }
        if let Some(CountLine { line, rows: counted }) = head.count
            && counted != rows
        {
            let expected = format!("the count of the {rows} rows");
            return Err(ParseError::line(line, expected, counted.to_string()));
        }
        Ok(TextTable { header: self.names.clone(), columns })
    }

    fn push_row(
        &self,
        columns: &mut [Vec<f64>],
        row: TextRow<'_>,
        wanted: &[bool],
    ) -> Result<(), ParseError> {
        match self.syntax.delimiter {
            None if !self.syntax.decimal_comma && memchr::memchr(b'"', row.text).is_none() => {
                self.push_blank_separated(columns, row, wanted)
            }
            Some(delimiter) if memchr::memchr(b'"', row.text).is_none() => self.push_fields(
                columns,
                row,
                wanted,
                row.text.split(|b| *b == delimiter).map(<[u8]>::trim_ascii),
            ),
            _ => self.push_fields(columns, row, wanted, self.syntax.fields(row.text).into_iter()),
        }
    }

    fn push_blank_separated(
        &self,
        columns: &mut [Vec<f64>],
        row: TextRow<'_>,
        wanted: &[bool],
    ) -> Result<(), ParseError> {
        let mut rest = row.text;
        for (values, wanted) in columns.iter_mut().zip(wanted) {
            if *wanted {
                values.push(take_number(&mut rest).ok_or_else(|| self.wrong_field(row, rest))?);
            } else {
                skip_blanks(&mut rest);
                if rest.is_empty() {
                    return Err(self.ragged(row));
                }
                let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
                rest = &rest[end..];
            }
        }
        skip_blanks(&mut rest);
        if rest.is_empty() { Ok(()) } else { Err(self.ragged(row)) }
    }

    fn push_fields<'a>(
        &self,
        columns: &mut [Vec<f64>],
        row: TextRow<'_>,
        wanted: &[bool],
        mut fields: impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), ParseError> {
        for (values, wanted) in columns.iter_mut().zip(wanted) {
            let field = fields.next().ok_or_else(|| self.ragged(row))?;
            if *wanted {
                // Tables with names write what is unknown as nothing.
                let value = if field.is_empty() && self.names.is_some() {
                    f64::NAN
                } else {
                    self.syntax.number(field).ok_or_else(|| self.wrong_field(row, field))?
                };
                values.push(value);
            }
        }
        match (fields.next(), fields.next()) {
            (None, _) => Ok(()),
            (Some([]), None) => Ok(()),
            _ => Err(self.ragged(row)),
        }
    }

    fn ragged(&self, row: TextRow<'_>) -> ParseError {
        ParseError::line(row.line, format!("{} numbers", self.width), quote(row.text))
    }

    /// A field that is no number; in a row of blanks that ends too soon there is none.
    fn wrong_field(&self, row: TextRow<'_>, field: &[u8]) -> ParseError {
        if field.is_empty() && self.syntax.delimiter.is_none() {
            return self.ragged(row);
        }
        ParseError::line(row.line, "a number", quote(field))
    }
}

/// Whether the first column numbers or names the rows, as tables with an index are exported.
fn has_index(syntax: RowSyntax, first: TextRow<'_>, second: Option<TextRow<'_>>) -> bool {
    let value = |row: TextRow<'_>| syntax.fields(row.text).first().and_then(|field| syntax.number(field));
    match (value(first), second.map(value)) {
        (None, _) => true,
        (Some(first), None) => first == 0.0 || first == 1.0,
        (Some(first), Some(second)) => (first == 0.0 || first == 1.0) && second == Some(first + 1.0),
    }
}

/// The names of a table whose rows have `found` columns: those of its header, else of a comment that fits.
fn names_for(head: &TextHead<'_>, found: usize) -> Option<NamesLine> {
    head.names.clone().or_else(|| {
        let known = |name: &String| ColumnRole::from_name(name).is_some();
        head.commented.clone().filter(|c| c.names.len() == found || c.names.iter().all(known))
    })
}

/// Says which columns the settings call otherwise than the header.
fn warn_of_renamed(names: &[Option<&str>], roles: &[Option<ColumnRole>]) -> Option<Warning> {
    let differs = |(name, role): (&Option<&str>, &Option<ColumnRole>)| {
        let known = name.and_then(ColumnRole::from_name);
        known.is_some() && role.is_some() && known != *role
    };
    let at = names.iter().zip(roles).position(differs)?;
    let text = format!(
        "column {} is {} in the header and otherwise in dataset.columns, which holds",
        at + 1,
        quote(names[at].unwrap_or_default().as_bytes())
    );
    Some(Warning::new(WarningKind::ColumnsRenamed, text))
}
