//! The files of a report: `report.json`, and the page `report.html` that is made of it.

use std::path::Path;

use jepa3d_schemas::{Error as DataError, printable_json, read_regular, write_atomically};
use serde_json::Value;

use super::document::{FORMAT, FORMAT_VERSION, Report};
use super::page::render_page;
use crate::error::Result;

/// Everything that a report says, for programs.
pub const REPORT_JSON: &str = "report.json";
/// The same for people.
pub const REPORT_PAGE: &str = "report.html";

/// Writes `report.json` and `report.html` into a folder, which is made if there is none.
///
/// # Errors
/// Fails if the disk does.
pub fn write_report(folder: &Path, report: &Report) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| DataError::io(folder, e))?;
    let json = serde_json::to_string(report).expect("a report is plain data");
    write_atomically(&folder.join(REPORT_JSON), (printable_json(&json) + "\n").as_bytes())?;
    write_page(&folder.join(REPORT_PAGE), report)
}

/// Writes the page of a report alone.
///
/// # Errors
/// Fails if the disk does.
pub fn write_page(file: &Path, report: &Report) -> Result<()> {
    Ok(write_atomically(file, render_page(report).as_bytes())?)
}

/// Reads `report.json` of a folder.
///
/// # Errors
/// Fails if the folder has none, or it is no report, or one of another version; the error names the file.
pub fn read_report(folder: &Path) -> Result<Report> {
    let path = folder.join(REPORT_JSON);
    let refuse = |what: &str, found: String| {
        let expected = format!("{FORMAT} {FORMAT_VERSION}, as `--out` of a command leaves it");
        DataError::contract(&path, what, expected, found)
    };
    if !path.exists() {
        return Err(refuse("file", "none".to_owned()).into());
    }
    let bytes = read_regular(&path).map_err(|e| DataError::io(&path, e))?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|e| refuse("JSON", e.to_string()))?;
    for (key, expected) in [("format", Value::from(FORMAT)), ("version", Value::from(FORMAT_VERSION))] {
        match value.get(key) {
            Some(found) if *found == expected => {}
            Some(found) => return Err(refuse(key, found.to_string()).into()),
            None => return Err(refuse(key, "none".to_owned()).into()),
        }
    }
    Ok(serde_json::from_value(value).map_err(|e| refuse("report", e.to_string()))?)
}
