//! `metrics.jsonl` as a whole: what of it reads, and what is said about the rest.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use jepa3d_schemas::{Error as DataError, open_regular};

use super::line::{Logged, parse_line};
use crate::error::Result;

/// Name of the record within a run folder.
pub const METRICS_FILE: &str = "metrics.jsonl";

/// Line numbers that a message names.
const NAMED: usize = 5;

/// Bytes of a line, at most; a longer one is none of ours.
const LONGEST: usize = 1 << 16;

/// What of a record reads, and the numbers of the lines that do not count.
#[derive(Default)]
pub(super) struct MetricsRecord {
    /// By ascending step; lines of one step in the order of the file.
    pub lines: Vec<RecordLine>,
    /// Lines that are not as they were written.
    pub unreadable: Vec<usize>,
    /// Lines of a step that says the same before: another process wrote them.
    pub repeated: Vec<usize>,
    /// Whether a line stands behind one of a later step.
    pub is_mixed: bool,
    /// The number of a last line without an end that does not read: a kill tore it.
    pub torn: Option<usize>,
    /// Bytes of the file.
    pub length: u64,
    /// Step and names of every line that counts.
    seen: BTreeSet<(u64, Vec<String>)>,
}

/// A line that reads, with its bytes.
pub(super) struct RecordLine {
    pub raw: Vec<u8>,
    pub logged: Logged,
}

impl MetricsRecord {
    /// Reads the lines of a record.
    ///
    /// # Errors
    /// Fails if the reader does.
    pub(super) fn read(mut from: impl BufRead) -> std::io::Result<Self> {
        let mut record = Self::default();
        for number in 1.. {
            let mut raw = Vec::new();
            from.by_ref().take(LONGEST as u64).read_until(b'\n', &mut raw)?;
            if raw.is_empty() {
                break;
            }
            record.length += raw.len() as u64;
            let mut is_ended = raw.ends_with(b"\n");
            let mut logged = parse_line(&raw);
            if !is_ended && raw.len() == LONGEST {
                logged = None;
                is_ended = record.skip_line(&mut from)?;
            }
            match logged {
                Some(logged) => record.add(number, raw, logged),
                None if is_ended => record.unreadable.push(number),
                None => record.torn = Some(number),
            }
        }
        record.lines.sort_by_key(|line| line.logged.step);
        Ok(record)
    }

    /// Passes over the rest of a line; whether it has an end.
    fn skip_line(&mut self, from: &mut impl BufRead) -> std::io::Result<bool> {
        loop {
            let buffer = from.fill_buf()?;
            let end = buffer.iter().position(|&byte| byte == b'\n');
            let (passed, is_end) = (end.map_or(buffer.len(), |end| end + 1), buffer.is_empty());
            from.consume(passed);
            self.length += passed as u64;
            if end.is_some() || is_end {
                return Ok(end.is_some());
            }
        }
    }

    fn add(&mut self, number: usize, raw: Vec<u8>, logged: Logged) {
        let names: Vec<String> = logged.values.keys().cloned().collect();
        if !self.seen.insert((logged.step, names)) {
            return self.repeated.push(number);
        }
        self.is_mixed |= self.lines.last().is_some_and(|last| last.logged.step > logged.step);
        self.lines.push(RecordLine { raw, logged });
    }

    /// Whether lines are lost or in disorder, but for a last one that a kill tore.
    pub(super) fn is_damaged(&self) -> bool {
        self.is_mixed || !self.unreadable.is_empty() || !self.repeated.is_empty()
    }

    /// What does not count, in words; empty if all does.
    pub(super) fn describe_losses(&self) -> String {
        let torn: Vec<usize> = self.torn.into_iter().collect();
        let kinds = [
            (&self.unreadable, "cannot be read"),
            (&self.repeated, "of a step that was there before"),
            (&torn, "without an end"),
        ];
        let kinds = kinds.into_iter().filter(|(numbers, _)| !numbers.is_empty());
        let words = kinds.map(|(numbers, what)| format!("{} {what} ({})", count(numbers), name(numbers)));
        let mixed = self.is_mixed.then(|| "lines in disorder".to_owned());
        words.chain(mixed).collect::<Vec<_>>().join(", ")
    }

    /// Which of the steps up to `last` have no line, in words; empty if all have one.
    pub(super) fn describe_gaps(&self, last: u64) -> String {
        let steps: BTreeSet<u64> = self.lines.iter().map(|line| line.logged.step).collect();
        let missing: Vec<u64> = (1..=last).filter(|step| !steps.contains(step)).collect();
        match missing[..] {
            [] => String::new(),
            [step] => format!("no line of step {step}"),
            [first, .., end] => format!("no line of {} steps ({first} to {end})", missing.len()),
        }
    }
}

fn count(numbers: &[usize]) -> String {
    match numbers.len() {
        1 => "1 line".to_owned(),
        n => format!("{n} lines"),
    }
}

fn name(numbers: &[usize]) -> String {
    let shown: Vec<String> = numbers.iter().take(NAMED).map(ToString::to_string).collect();
    let more = if numbers.len() > NAMED { ", ..." } else { "" };
    shown.join(", ") + more
}

/// Reads the record of the run folder `run`: what of it reads, by ascending step. What does not is said as a warning.
///
/// # Errors
/// Fails if there is no record, or it is no regular file.
pub fn read_metrics(run: &Path) -> Result<Vec<Logged>> {
    let path = run.join(METRICS_FILE);
    let record = read_record(&path).map_err(|e| DataError::io(&path, e))?;
    let losses = record.describe_losses();
    if !losses.is_empty() {
        tracing::warn!("{}: {losses}: left out", path.display());
    }
    Ok(record.lines.into_iter().map(|line| line.logged).collect())
}

/// The record in the file `path`.
///
/// # Errors
/// Fails if it cannot be read, or is no regular file.
pub(super) fn read_record(path: &Path) -> std::io::Result<MetricsRecord> {
    MetricsRecord::read(BufReader::new(open_regular(path)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reads_is_kept_and_the_rest_is_counted() {
        let text = "{\"step\":1,\"loss\":1}\n{\"step\":2,\"lo{\"step\":2,\"loss\":2}\n\0\u{1}\n\
                    {\"step\":1,\"loss\":9}\n{\"step\":4,\"loss\":4}\n{\"step\":3,\"loss\":3}\n{\"step\":4,\"r2\":1}\n{\"st";
        let record = MetricsRecord::read(text.as_bytes()).unwrap();
        let kept: Vec<_> = record.lines.iter().map(|line| (line.logged.step, &line.logged.values)).collect();
        assert_eq!(kept.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [1, 3, 4, 4]);
        assert_eq!((kept[0].1["loss"], kept[3].1["r2"]), (1.0, 1.0), "the first of a step counts");
        assert!(record.is_damaged());
        assert_eq!(
            record.describe_losses(),
            "2 lines cannot be read (2, 3), 1 line of a step that was there before (4), \
             1 line without an end (8), lines in disorder"
        );
        assert_eq!(record.describe_gaps(6), "no line of 3 steps (2 to 6)");
        assert_eq!(record.describe_gaps(2), "no line of step 2");
    }

    #[test]
    fn a_record_of_a_killed_run_is_not_damaged() {
        let record = MetricsRecord::read(&b"{\"step\":1,\"loss\":1}\n{\"step\":2,\"l"[..]).unwrap();
        assert!(!record.is_damaged());
        assert_eq!((record.lines.len(), record.torn), (1, Some(2)));
        assert_eq!(record.describe_losses(), "1 line without an end (2)");
        let none = MetricsRecord::read(&b""[..]).unwrap();
        assert_eq!((none.describe_losses(), none.describe_gaps(0)), (String::new(), String::new()));
    }

    #[test]
    fn a_line_without_bounds_is_passed_over() {
        let long = "x".repeat(3 * LONGEST);
        let text = format!("{{\"step\":1,\"loss\":1}}\n{long}\n{{\"step\":2,\"loss\":1}}\r\n{long}");
        let record = MetricsRecord::read(text.as_bytes()).unwrap();
        assert_eq!((record.lines.len(), &record.unreadable[..], record.torn), (2, &[2][..], Some(4)));
        assert_eq!(record.length, text.len() as u64);
    }
}
