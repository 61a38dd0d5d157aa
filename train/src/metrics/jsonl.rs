//! `metrics.jsonl`: one JSON object a line, cut back to the checkpoint on resume.
//!
//! A line is one `write` to the file, so a kill leaves whole lines or tears the last one. A record that was damaged otherwise
//! is kept beside, and goes on with the lines that read.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use jepa3d_schemas::{Error as DataError, open_regular, write_atomically};

use super::Scalars;
use super::line::format_line;
use super::record::{METRICS_FILE, MetricsRecord, read_record};
use crate::damaged_file::copy_aside;
use crate::error::Result;

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
        let io = |e| DataError::io(&path, e);
        match resume_after {
            Some(last) => cut_back(&path, last)?,
            None => {
                if path.exists() {
                    open_regular(&path).map_err(io)?;
                }
                File::create(&path).map_err(io)?;
            }
        }
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(io)?;
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

/// Leaves the lines of `path` up to step `last`. A last line without an end stays if it is whole.
fn cut_back(path: &Path, last: u64) -> Result<()> {
    let record = match read_record(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => MetricsRecord::default(),
        read => read.map_err(|e| DataError::io(path, e))?,
    };
    let mut kept = Vec::new();
    for line in record.lines.iter().take_while(|line| line.logged.step <= last) {
        kept.extend(&line.raw);
        if !line.raw.ends_with(b"\n") {
            kept.push(b'\n');
        }
    }
    let beside = match record.is_damaged() {
        true => format!("; the file as it was: {}", copy_aside(path)?.display()),
        false => String::new(),
    };
    let words = [record.describe_losses(), record.describe_gaps(last)];
    let words: Vec<String> = words.into_iter().filter(|words| !words.is_empty()).collect();
    if !words.is_empty() {
        tracing::warn!("{}: {}: the run goes on without{beside}", path.display(), words.join(", "));
    }
    let length = kept.len() as u64;
    // Of a record in order what is kept is its beginning, but for the end of its last line.
    match record.is_damaged() || length > record.length {
        true => Ok(write_atomically(path, &kept)?),
        false if length == record.length => Ok(()),
        false => Ok(set_length(path, length).map_err(|e| DataError::io(path, e))?),
    }
}

fn set_length(path: &Path, length: u64) -> std::io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(length)
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

    fn files(run: &Path) -> Vec<String> {
        let names = std::fs::read_dir(run).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn a_damaged_record_goes_on_and_is_kept_beside() {
        let (straight, damaged) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        written(straight.path(), None, 1..=20);
        let lines: Vec<String> = text(straight.path()).split_inclusive('\n').map(str::to_owned).collect();
        let torn = format!("{}{}", &lines[3][..20], lines[4]);
        let wrong = lines[6].replace("\"loss\":0", "\"loss\":7");
        let mixed =
            [&lines[..3], &[torn, wrong, "\u{0}\u{1}\n".into()], &lines[5..12], &lines[7..9]].concat();
        std::fs::write(damaged.path().join(METRICS_FILE), mixed.concat()).unwrap();
        written(damaged.path(), Some(10), 11..=20);
        let kept = [&lines[..3], &lines[5..]].concat();
        assert_eq!(text(damaged.path()), kept.concat());
        assert_eq!(files(damaged.path()), ["metrics.damaged-1.jsonl", METRICS_FILE]);
        let beside = std::fs::read_to_string(damaged.path().join("metrics.damaged-1.jsonl")).unwrap();
        assert_eq!(beside, mixed.concat(), "nothing is lost");
        written(damaged.path(), Some(20), 21..=21);
        assert_eq!(files(damaged.path()).len(), 2, "only once");
        // Without a record there is one from here on.
        std::fs::remove_file(damaged.path().join(METRICS_FILE)).unwrap();
        written(damaged.path(), Some(20), 21..=22);
        assert_eq!(text(damaged.path()).lines().count(), 2);
    }
}
