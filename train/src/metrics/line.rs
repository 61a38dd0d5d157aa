//! A line of `metrics.jsonl`: a JSON object of step, epoch, numbers and a checksum of what stands before it.
//!
//! JSON has no NaN and no infinity: such a value is `null`, and the line's `not_finite` object says which.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;

use super::Scalars;
use super::crc32c::crc32c;

/// What stands between the numbers and the checksum's eight digits.
const CHECKSUM: &str = ",\"crc32c\":\"";
/// What stands after them.
const END: &str = "\"}\n";

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
    /// None in files from before there were checksums.
    #[serde(default)]
    crc32c: Option<String>,
    #[serde(flatten)]
    values: BTreeMap<String, Option<f64>>,
}

/// The line of `scalars`, with its end.
pub(super) fn format_line(scalars: &Scalars) -> String {
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
    let checksum = crc32c(text.as_bytes());
    let _ = write!(text, "{CHECKSUM}{checksum:08x}{END}");
    text
}

/// What a line says, with its end or, at the end of a file, without; `None` if it is not as it was written.
pub(super) fn parse_line(raw: &[u8]) -> Option<Logged> {
    let line: MetricsLine = serde_json::from_slice(raw).ok()?;
    if line.crc32c.is_some() && !has_own_checksum(raw) {
        return None;
    }
    let kind = |name: &str| match line.not_finite.get(name).map(String::as_str) {
        Some("inf") => f64::INFINITY,
        Some("-inf") => f64::NEG_INFINITY,
        _ => f64::NAN,
    };
    let values = line.values.iter().map(|(name, value)| (name.clone(), value.unwrap_or_else(|| kind(name))));
    Some(Logged { step: line.step, epoch: line.epoch.unwrap_or(f64::NAN), values: values.collect() })
}

fn has_own_checksum(raw: &[u8]) -> bool {
    let raw = raw.strip_suffix(b"\n").unwrap_or(raw);
    // An editor elsewhere ends lines by two characters.
    let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
    let digits = raw.strip_suffix(END.trim_end().as_bytes()).and_then(<[u8]>::split_last_chunk::<8>);
    digits.is_some_and(|(before, digits)| {
        let checked = before.strip_suffix(CHECKSUM.as_bytes());
        checked.is_some_and(|checked| format!("{:08x}", crc32c(checked)).as_bytes() == digits)
    })
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

    #[test]
    fn a_line_as_it_stands() {
        let values = vec![("loss", 0.1), ("probe/knn20", f64::NAN), ("grad_norm", f64::NEG_INFINITY)];
        let before = "{\"step\":7,\"epoch\":0.5,\"loss\":0.1,\"probe/knn20\":null,\"grad_norm\":null,\
                      \"not_finite\":{\"probe/knn20\":\"NaN\",\"grad_norm\":\"-inf\"}";
        assert_eq!(
            format_line(&Scalars { step: 7, epoch: 0.5, values }),
            format!("{before},\"crc32c\":\"{:08x}\"}}\n", crc32c(before.as_bytes()))
        );
    }

    #[test]
    fn values_read_back() {
        let values = vec![("a", 1.0 / 3.0), ("b", f64::INFINITY), ("c", f64::NAN), ("d", f64::from(0.1_f32))];
        let line = format_line(&Scalars { step: 1, epoch: 0.1, values: values.clone() });
        let read = parse_line(line.as_bytes()).unwrap();
        assert_eq!((read.step, read.epoch, read.values.len()), (1, 0.1, 4));
        let same = |x: f64, y: f64| x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= 1e-15 * x.abs();
        assert!(values.iter().all(|(name, x)| same(*x, read.values[*name])), "{read:?}");
        assert_eq!(parse_line(line.trim_end().as_bytes()).map(|line| line.step), Some(1), "without its end");
        let older = parse_line(b"{\"step\":1,\"epoch\":0.1,\"loss\":2}\n").unwrap();
        assert_eq!(older.values["loss"], 2.0);
    }

    #[test]
    fn every_damaged_bit_is_found() {
        let values = vec![("loss", 0.071), ("tau", f64::NAN)];
        let line = format_line(&Scalars { step: 12, epoch: 0.4, values }).into_bytes();
        for bit in 0..8 * (line.len() - 1) {
            let mut damaged = line.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let lines: Vec<_> = damaged.split_inclusive(|&b| b == b'\n').map(parse_line).collect();
            assert!(lines.iter().any(Option::is_none), "bit {bit}: {}", String::from_utf8_lossy(&damaged));
        }
    }
}
