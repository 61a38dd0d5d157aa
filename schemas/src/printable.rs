//! Text from outside in lines that people read: it must neither steer a terminal nor look like lines of ours.

/// Text of one line: control characters, line breaks and marks that turn the direction of writing become escapes.
///
/// ```
/// use jepa3d_schemas::printable;
///
/// assert_eq!(printable("chair\u{1b}]0;x\u{7}\r\n"), "chair\\u{1b}]0;x\\u{7}\\r\\n");
/// ```
pub fn printable(text: &str) -> String {
    escape(text, false)
}

/// Text of several lines, whose breaks stay: [`printable`], line by line.
pub fn printable_lines(text: &str) -> String {
    escape(text, true)
}

/// JSON in which text of several languages stands as it is: what [`printable`] escapes becomes an escape of JSON.
pub fn printable_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match is_unprintable(c) && c != '\n' {
            // None of these is above 16 bits, and JSON has none outside of strings.
            true => out += &format!("\\u{:04x}", c as u32),
            false => out.push(c),
        }
    }
    out
}

fn escape(text: &str, keeps_breaks: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' if keeps_breaks => out.push(c),
            _ if is_unprintable(c) => out.extend(c.escape_default()),
            _ => out.push(c),
        }
    }
    out
}

fn is_unprintable(c: char) -> bool {
    let turns_direction =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns_direction || matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_a_terminal_and_words_of_any_language_stay() {
        let text = "a\u{1b}[2Jb\n\u{9b}1m\u{202e}c\u{2028}";
        assert_eq!(printable(text), "a\\u{1b}[2Jb\\n\\u{9b}1m\\u{202e}c\\u{2028}");
        assert_eq!(printable_lines("a\rb\nc"), "a\\rb\nc");
        let json = serde_json::to_string("a\u{1b}\u{9b}\u{202e}\u{7f}é").unwrap();
        assert_eq!(printable_json(&json), "\"a\\u001b\\u009b\\u202e\\u007fé\"");
        assert_eq!(serde_json::from_str::<String>(&printable_json(&json)).unwrap().chars().count(), 6);
        for text in ["Stühle/椅子 007.obj", "كرسي", "🪑", ""] {
            assert_eq!(printable(text), text);
        }
    }
}
