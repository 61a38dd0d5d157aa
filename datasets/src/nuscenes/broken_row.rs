//! Defines what is left of a row that is a JSON object, but not one with the columns of its table.
//!
//! One such row among a million need not cost the others: whoever reads the table may drop it, or make its object fail.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::ParseError;

/// A row with a column that is missing or of another type.
#[derive(Debug)]
pub(super) struct BrokenRow {
    columns: Map<String, Value>,
    /// What is wrong, with row, line and, where it can be told, the column.
    pub(super) problem: ParseError,
}

impl BrokenRow {
    /// The row number `row` of a table, which is no `T` because of `reason`; it ends on line `line`.
    pub(super) fn new<T: DeserializeOwned>(
        columns: Map<String, Value>,
        row: usize,
        line: usize,
        reason: &str,
    ) -> Self {
        let column = find_broken_column::<T>(&columns);
        let column = column.map_or(String::new(), |column| format!(" in column {column:?}"));
        let problem = ParseError::line(
            line,
            "a row of the table: a JSON object with its columns",
            format!("{reason}{column} of row {row}"),
        );
        Self { columns, problem }
    }

    /// Those columns that make a `T`.
    ///
    /// # Errors
    /// Fails with the problem of the row if these are broken too.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, ParseError> {
        serde_json::from_value(Value::Object(self.columns.clone())).map_err(|_| self.problem.clone())
    }
}

/// The column without which the row is no `T` for another reason, or is one.
fn find_broken_column<T: DeserializeOwned>(columns: &Map<String, Value>) -> Option<&String> {
    let reason = |columns: Map<String, Value>| {
        serde_json::from_value::<T>(Value::Object(columns)).err().map(|e| e.to_string())
    };
    // The reason names a column that is missing.
    let whole = reason(columns.clone()).filter(|reason| !reason.starts_with("missing"))?;
    columns.keys().find(|&key| {
        let mut others = columns.clone();
        others.remove(key);
        reason(others).is_none_or(|reason| reason != whole)
    })
}
