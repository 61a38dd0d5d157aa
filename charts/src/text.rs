//! Texts of a chart: placed at a pixel, as they stand, and numbers as short as they can be.

use kuva::render::render::{Primitive, TextAnchor};

/// Size of legends, notes and labels in pixels.
pub(crate) const TEXT_SIZE: u32 = 13;

/// Text from outside as it stands: control characters as escapes, and kuva would take `$...$` for mathematics.
pub(crate) fn escape(text: &str) -> String {
    let show = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(show).collect::<String>().replace('$', "\\$")
}

/// Text whose baseline begins (or ends) at a pixel.
pub(crate) fn place_text(text: &str, x: f64, y: f64, anchor: TextAnchor, size: u32) -> Primitive {
    let content = escape(text);
    Primitive::Text { x, y, content, size, anchor, rotate: None, bold: false, color: None }
}

/// Bold text that begins at a pixel.
pub(crate) fn place_title(text: &str, x: f64, y: f64, size: u32) -> Primitive {
    let content = escape(text);
    let anchor = TextAnchor::Start;
    Primitive::Text { x, y, content, size, anchor, rotate: None, bold: true, color: None }
}

/// Width of a text in DejaVu Sans at [`TEXT_SIZE`], to a few pixels.
pub(crate) fn estimate_width(text: &str) -> f64 {
    let em = |c: char| match c {
        'f' | 'i' | 'j' | 'l' | 'r' | 't' | ' ' | '(' | ')' | '.' | ',' | ':' | '/' | '-' => 0.34,
        'm' | 'w' | 'M' | 'W' | '%' => 0.9,
        c if c.is_uppercase() => 0.68,
        _ => 0.6,
    };
    f64::from(TEXT_SIZE) * text.chars().map(em).sum::<f64>()
}

/// A number at an axis: `12k`, `0.25`, `5e-4`.
pub(crate) fn format_tick(x: f64) -> String {
    let trimmed = |x: f64, digits: usize| {
        let text = format!("{x:.digits$}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    };
    match x.abs() {
        0.0 => "0".to_owned(),
        size if (1e6..1e9).contains(&size) => trimmed(x / 1e6, 2) + "M",
        size if (1e4..1e6).contains(&size) => trimmed(x / 1e3, 1) + "k",
        size if !(1e-3..1e9).contains(&size) => {
            let power = libm::floor(libm::log10(size));
            format!("{}e{power}", trimmed(x / libm::pow(10.0, power), 2))
        }
        _ => trimmed(x, 5),
    }
}

/// A number at a linear axis, where a sum of tick steps may leave nearly nothing of zero.
pub(crate) fn format_linear_tick(x: f64) -> String {
    if x.abs() < 1e-12 { "0".to_owned() } else { format_tick(x) }
}

/// A fraction at an axis, in percent: hundredths of one, or two digits where that would be nothing.
pub(crate) fn format_percent(x: f64) -> String {
    let percent = 100.0 * x;
    let power = if percent == 0.0 { 0.0 } else { libm::floor(libm::log10(percent.abs())) };
    let steps = libm::pow(10.0, (1.0 - power).max(2.0));
    format!("{} %", format_linear_tick((percent * steps).round() / steps))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_short() {
        let ticks = [0.0, 1e-5, 4.5e-4, 0.001, 0.1 + 0.2, 0.99995, 12.0, 5000.0, 40_000.0, 2.5e6, 1e20];
        assert_eq!(
            ticks.map(format_tick),
            ["0", "1e-5", "4.5e-4", "0.001", "0.3", "0.99995", "12", "5000", "40k", "2.5M", "1e20"]
        );
        assert_eq!([0.85, 1.0, -0.1].map(format_percent), ["85 %", "100 %", "-10 %"]);
        assert_eq!([5e-5, 1e-4, 1.5e-4, 0.0].map(format_percent), ["0.005 %", "0.01 %", "0.015 %", "0 %"]);
    }

    #[test]
    fn texts_steer_neither_terminal_nor_typesetting() {
        assert_eq!(escape("a\u{1b}[2Jb $x$"), "a\\u{1b}[2Jb \\$x\\$");
    }
}
