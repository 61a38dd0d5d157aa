//! Text from outside as text of a page: it cannot become an element, an attribute or a style.

use jepa3d_schemas::printable;

/// A line of text for an element or a quoted attribute; what would steer the reader's eye is shown as an escape.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in printable(text).chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_text_is_read_as_a_page() {
        assert_eq!(escape("<script>&\"'\u{202e}\n"), "&lt;script&gt;&amp;&quot;&#39;\\u{202e}\\n");
        assert_eq!(escape("Stühle 椅子 🪑"), "Stühle 椅子 🪑");
    }
}
