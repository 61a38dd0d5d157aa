//! `metrics.jsonl`: one JSON object a line, cut back to the checkpoint on resume.
//!
//! A line is one `write` to the file, so a kill leaves whole lines or tears the last one. JSON has
//! no NaN and no infinity: such a value is `null`, and the line's `not_finite` object says which.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use jepa3d_schemas::Error as DataError;
use serde::Deserialize;

use super::Scalars;
use crate::error::Result;

/// Name of the record within a run folder.
pub const METRICS_FILE: &str = "metrics.jsonl";

/// A line of the record as read back.
#[derive(Clone, Debug, PartialEq)]
pub struct Logged {
    /// Optimiser steps done.
    pub step: u64,
    /// Epochs done.
    pub epoch: f64,
    /// The values by name, NaN and infinities restored; finite ones to the last digit but one.
    pub values: BTreeMap<String, f64>,
}

/// A line as it stands in the file.
#[derive(Deserialize)]
struct MetricsLine {
    step: u64,
    epoch: Option<f64>,
    #[serde(default)]
    not_finite: BTreeMap<String, String>,
    #[serde(flatten)]
    values: BTreeMap<String, Option<f64>>,
}

/// The open record.
#[derive(Debug)]
pub(super) struct JsonLines {
    path: PathBuf,
    file: File,
}

impl JsonLines {
    /// Opens the record of `run`: empty, or with the lines up to `resume_after`.
    pub(super) fn open(run: &Path, resume_after: Option<u64>) -> Result<Self> {
        let path = run.join(METRICS_FILE);
        let kept = match resume_after {
            Some(last) if path.exists() => find_kept_lines(&path, last)?,
            _ => KeptLines { bytes: 0, lacks_newline: false },
        };
        let io = |e| DataError::io(&path, e);
        let mut file = OpenOptions::new().create(true).write(true).truncate(false).open(&path).map_err(io)?;
        file.set_len(kept.bytes).map_err(io)?;
        file.seek(SeekFrom::End(0)).map_err(io)?;
        if kept.lacks_newline {
            file.write_all(b"\n").map_err(io)?;
        }
        Ok(Self { path, file })
    }

    /// Appends a line.
    pub(super) fn write(&mut self, scalars: &Scalars) -> Result<()> {
        let line = format_line(scalars);
        Ok(self.file.write_all(line.as_bytes()).map_err(|e| DataError::io(&self.path, e))?)
    }

    pub(super) fn sync(&mut self) -> Result<()> {
        Ok(self.file.sync_data().map_err(|e| DataError::io(&self.path, e))?)
    }
}

/// How much of a record stays.
struct KeptLines {
    bytes: u64,
    lacks_newline: bool,
}

/// The length of the lines of `path` up to step `last`. A last line without an end stays if it is whole.
fn find_kept_lines(path: &Path, last: u64) -> Result<KeptLines> {
    let bytes = std::fs::read(path).map_err(|e| DataError::io(path, e))?;
    let mut kept = 0;
    for (number, ParsedLine { raw, line }) in parse(path, &bytes)?.into_iter().enumerate() {
        if line.step > last {
            tracing::info!(
                "{}: continued from step {last}: line {} and later cut off",
                path.display(),
                number + 1
            );
            break;
        }
        kept += raw.len();
    }
    let lacks_newline = kept > 0 && bytes[kept - 1] != b'\n';
    Ok(KeptLines { bytes: kept as u64, lacks_newline })
}

/// A line with its bytes.
struct ParsedLine<'a> {
    raw: &'a [u8],
    line: MetricsLine,
}

/// Every line; a torn last one is left out.
fn parse<'a>(path: &Path, bytes: &'a [u8]) -> Result<Vec<ParsedLine<'a>>> {
    let mut lines = Vec::new();
    for (number, raw) in bytes.split_inclusive(|&b| b == b'\n').enumerate() {
        match serde_json::from_slice(raw) {
            Ok(line) => lines.push(ParsedLine { raw, line }),
            Err(_) if !raw.ends_with(b"\n") => break,
            Err(reason) => {
                let what = format!("line {}", number + 1);
                let found = format!("{:?} ({reason})", shorten(raw));
                return Err(DataError::contract(
                    path,
                    what,
                    "a JSON object of step, epoch and numbers",
                    found,
                )
                .into());
            }
        }
    }
    Ok(lines)
}

fn shorten(raw: &[u8]) -> String {
    String::from_utf8_lossy(raw).trim_end().chars().take(60).collect()
}

/// Reads the record of the run folder `run`; a last line torn by a kill is left out.
///
/// # Errors
/// Fails if there is no record, or a line is not one of ours (the message names it).
pub fn read_metrics(run: &Path) -> Result<Vec<Logged>> {
    let path = run.join(METRICS_FILE);
    let bytes = std::fs::read(&path).map_err(|e| DataError::io(&path, e))?;
    Ok(parse(&path, &bytes)?.into_iter().map(|parsed| to_logged(parsed.line)).collect())
}

fn to_logged(line: MetricsLine) -> Logged {
    let kind = |name: &str| match line.not_finite.get(name).map(String::as_str) {
        Some("inf") => f64::INFINITY,
        Some("-inf") => f64::NEG_INFINITY,
        _ => f64::NAN,
    };
    let values = line.values.iter().map(|(name, value)| (name.clone(), value.unwrap_or_else(|| kind(name))));
    Logged { step: line.step, epoch: line.epoch.unwrap_or(f64::NAN), values: values.collect() }
}

/// The line of `scalars`, with its end.
fn format_line(scalars: &Scalars) -> String {
    let mut text = format!("{{\"step\":{},\"epoch\":{}", scalars.step, format_number(scalars.epoch));
    for (name, value) in &scalars.values {
        let _ = write!(text, ",{}:{}", quote(name), format_number(*value));
    }
    let strange: Vec<String> = (scalars.values.iter())
        .filter(|(_, value)| !value.is_finite())
        .map(|(name, value)| format!("{}:\"{value}\"", quote(name)))
        .collect();
    if !strange.is_empty() {
        let _ = write!(text, ",\"not_finite\":{{{}}}", strange.join(","));
    }
    text + "}\n"
}

fn quote(name: &str) -> String {
    serde_json::Value::from(name).to_string()
}

/// The shortest digits that read back as `value`; `null` where JSON has no number.
fn format_number(value: f64) -> String {
    serde_json::Value::from(value).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(step: u64) -> Scalars {
        Scalars { step, epoch: step as f64 / 4.0, values: vec![("loss", 1.0 / step as f64)] }
    }

    fn written(run: &Path, resume: Option<u64>, steps: std::ops::RangeInclusive<u64>) {
        let mut lines = JsonLines::open(run, resume).unwrap();
        steps.for_each(|step| lines.write(&at(step)).unwrap());
    }

    fn text(run: &Path) -> String {
        std::fs::read_to_string(run.join(METRICS_FILE)).unwrap()
    }

    #[test]
    fn a_line_as_it_stands() {
        let values = vec![("loss", 0.1), ("probe/knn20", f64::NAN), ("grad_norm", f64::NEG_INFINITY)];
        assert_eq!(
            format_line(&Scalars { step: 7, epoch: 0.5, values }),
            "{\"step\":7,\"epoch\":0.5,\"loss\":0.1,\"probe/knn20\":null,\"grad_norm\":null,\
             \"not_finite\":{\"probe/knn20\":\"NaN\",\"grad_norm\":\"-inf\"}}\n"
        );
    }

    #[test]
    fn values_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let values = vec![("a", 1.0 / 3.0), ("b", f64::INFINITY), ("c", f64::NAN), ("d", f64::from(0.1_f32))];
        let mut lines = JsonLines::open(dir.path(), None).unwrap();
        lines.write(&Scalars { step: 1, epoch: 0.1, values: values.clone() }).unwrap();
        let read = read_metrics(dir.path()).unwrap();
        assert_eq!((read.len(), read[0].step, read[0].epoch), (1, 1, 0.1));
        let same = |x: f64, y: f64| x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= 1e-15 * x.abs();
        assert!(values.iter().all(|(name, x)| same(*x, read[0].values[*name])), "{read:?}");
        assert_eq!(read[0].values.len(), 4);
    }

    #[test]
    fn resumed_file_equals_an_uninterrupted_one() {
        let (straight, resumed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        written(straight.path(), None, 1..=20);
        let whole = text(straight.path());
        // Killed at every byte after the checkpoint of step 10: in a line, at its end, between lines.
        let checkpoint = whole.match_indices('\n').nth(9).unwrap().0 + 1;
        for cut in (checkpoint - 1..whole.len()).step_by(3).chain([checkpoint]) {
            std::fs::write(resumed.path().join(METRICS_FILE), &whole[..cut]).unwrap();
            written(resumed.path(), Some(10), 11..=20);
            assert_eq!(text(resumed.path()), whole, "killed after {cut} bytes");
        }
        written(resumed.path(), None, 1..=2);
        assert_eq!(text(resumed.path()).lines().count(), 2, "a fresh start begins an empty record");
        written(resumed.path(), Some(0), 1..=3);
        assert_eq!(text(resumed.path()).lines().count(), 3, "no checkpoint yet: from the first step");
    }

    #[test]
    fn a_foreign_line_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(METRICS_FILE);
        std::fs::write(&path, "{\"step\":1,\"epoch\":0.1}\n{\"step\":\"two\"}\n{\"step\":3,\"epoch\":1}\n")
            .unwrap();
        let message = read_metrics(dir.path()).unwrap_err().to_string();
        let expected = format!(
            "{}: line 2: expected a JSON object of step, epoch and numbers, found \"{{\\\"step\\\":\\\"two\\\"}}\" (",
            path.display()
        );
        assert!(message.starts_with(&expected), "{message}");
        assert_eq!(JsonLines::open(dir.path(), Some(1)).unwrap_err().to_string(), message);
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 3, "nothing is lost");
    }
}
