//! Counts, bytes, durations and lengths as people read them.

/// A count with thousands separators: `3,991`.
pub(super) fn count(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Objects in words: `1 object`, `3,991 objects`.
pub(super) fn counted(n: usize, noun: &str) -> String {
    let plural = match noun {
        "class" => "classes",
        _ => return format!("{} {noun}{}", count(n), if n == 1 { "" } else { "s" }),
    };
    format!("{} {}", count(n), if n == 1 { noun } else { plural })
}

/// Bytes in decimal units: `49.7 MB`.
pub(super) fn bytes(n: u64) -> String {
    scaled(n as f64, 1000.0, &["B", "kB", "MB", "GB", "TB", "PB"])
}

/// Mean bytes, `-` when there is nothing to divide by.
pub(super) fn bytes_each(n: u64, by: usize) -> String {
    if by == 0 { "-".to_owned() } else { scaled(n as f64 / by as f64, 1000.0, &["B", "kB", "MB", "GB"]) }
}

fn scaled(mut value: f64, step: f64, units: &[&str]) -> String {
    let mut unit = 0;
    // 999.5 would be printed as 1000 of the smaller unit.
    while value >= step - 0.5 && unit + 1 < units.len() {
        value /= step;
        unit += 1;
    }
    let is_whole_bytes = unit == 0 && value.fract() == 0.0;
    let digits = if is_whole_bytes || value >= 99.95 { 0 } else { usize::from(value < 9.995) + 1 };
    format!("{value:.digits$} {}", units[unit])
}

/// A duration: `85 µs`, `12.3 ms`, `4.20 s`, `3 min 20 s`, `2 h 05 min`.
pub(super) fn duration(ms: f64) -> String {
    if !ms.is_finite() {
        return "-".to_owned();
    }
    let seconds = (ms / 1e3).round();
    match ms {
        ms if ms < 0.9995 => format!("{:.0} µs", ms * 1e3),
        ms if ms < 999.5 => format!("{} ms", significant(ms)),
        ms if ms < 99_950.0 => format!("{} s", significant(ms / 1e3)),
        _ if seconds < 3600.0 => format!("{:.0} min {:02.0} s", (seconds / 60.0).floor(), seconds % 60.0),
        _ => {
            let minutes = (seconds / 60.0).round();
            format!("{:.0} h {:02.0} min", (minutes / 60.0).floor(), minutes % 60.0)
        }
    }
}

/// A share of 0 to 1: `12.9 %`; never `0.0 %` or `100.0 %` for what only rounds to it
/// (beyond the error of a sum).
pub(super) fn share(x: f64) -> String {
    match 100.0 * x {
        p if !p.is_finite() => "-".to_owned(),
        p if p > 0.0 && p < 0.05 => "<0.1 %".to_owned(),
        p if (99.95..100.0 - 1e-9).contains(&p) => ">99.9 %".to_owned(),
        p => format!("{p:.1} %"),
    }
}

/// Part of a whole as a share, `-` when the whole is 0.
pub(super) fn share_of(part: f64, whole: f64) -> String {
    if whole > 0.0 { share(part / whole) } else { "-".to_owned() }
}

/// A length or mean: three significant digits, whole numbers in full, powers of ten beyond 1e6.
pub(super) fn number(x: f64) -> String {
    let size = x.abs();
    match x {
        _ if !x.is_finite() => "-".to_owned(),
        _ if x == 0.0 => "0".to_owned(),
        _ if !(1e-3..1e7).contains(&size) => format!("{x:.2e}"),
        _ if x.fract() == 0.0 && x > 0.0 => count(x as usize),
        _ if size >= 99.95 && x > 0.0 => count(x.round() as usize),
        _ if size < 0.1 => format!("{x:.4}"),
        _ => significant(x),
    }
}

fn significant(x: f64) -> String {
    match x.abs() {
        size if size >= 99.95 => format!("{x:.0}"),
        size if size >= 9.995 => format!("{x:.1}"),
        size if size >= 0.9995 => format!("{x:.2}"),
        _ => format!("{x:.3}"),
    }
}

/// Text from outside with control characters made visible, so that it cannot steer a terminal.
pub(super) fn printable(text: &str) -> String {
    let show = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(show).collect()
}

/// [`printable`] text of at most `width` characters.
pub(super) fn shortened(text: &str, width: usize) -> String {
    let text = printable(text);
    if text.chars().count() <= width {
        return text;
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well_at_every_size() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [0, 999, 1000, 49_700_000, 999_999].map(bytes),
            ["0 B", "999 B", "1.00 kB", "49.7 MB", "1.00 MB"]
        );
        assert_eq!(bytes(u64::MAX), "18447 PB");
        assert_eq!([(10, 4), (3000, 2), (1, 0)].map(|(n, by)| bytes_each(n, by)), ["2.50 B", "1.50 kB", "-"]);
        assert_eq!(
            [0.0, 0.085, 0.9999, 12.34, 999.9].map(duration),
            ["0 µs", "85 µs", "1.00 ms", "12.3 ms", "1.00 s"]
        );
        assert_eq!([4200.0, 200_000.0, 7_500_000.0].map(duration), ["4.20 s", "3 min 20 s", "2 h 05 min"]);
        assert_eq!([3_599_900.0, f64::NAN].map(duration), ["1 h 00 min", "-"]);
        assert_eq!(
            [0.0, 1e-5, 0.129, 0.99999, 1.0].map(share),
            ["0.0 %", "<0.1 %", "12.9 %", ">99.9 %", "100.0 %"]
        );
        assert_eq!([0.0, 0.0125, 1.5, 38.21, 1024.0].map(number), ["0", "0.0125", "1.50", "38.2", "1,024"]);
        assert_eq!([4.6e8, 2.5e-7, f64::INFINITY, -3.0].map(number), ["4.60e8", "2.50e-7", "-", "-3.00"]);
        assert_eq!(
            [counted(1, "class"), counted(2, "class"), counted(1000, "object")],
            ["1 class", "2 classes", "1,000 objects"]
        );
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\n"), "a\\u{1b}[2Jb\\n");
        assert_eq!(shortened("abcdef", 4), "abc…");
        assert_eq!(shortened("abcd", 4), "abcd");
    }
}
