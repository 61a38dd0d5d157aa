//! Edits of the JSON files of a set as a hostile hand would make them: by text, and without the hashes, as older versions
//! wrote them.

use std::path::Path;

/// Keys that hold hashes of whole files.
const HASHES: [&str; 2] = ["\"self_hash\": ", "\"quarantine_hash\": "];

/// The text as a version without such hashes would have written it.
pub(crate) fn unsign(text: &str) -> String {
    let kept: Vec<&str> =
        text.lines().filter(|line| !HASHES.iter().any(|key| line.trim_start().starts_with(key))).collect();
    let mut out = String::new();
    for (i, line) in kept.iter().enumerate() {
        let closes = kept.get(i + 1).is_some_and(|next| next.trim_start().starts_with(['}', ']']));
        out += if closes { line.trim_end_matches(',') } else { line };
        out.push('\n');
    }
    out
}

/// Reads a JSON file of a set without its hashes.
pub(crate) fn read_unsigned(path: &Path) -> String {
    unsign(&std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
}

/// Replaces the value of the first `key` at or after `from`; the text must hold it on one line.
pub(crate) fn replace_after(text: &str, from: usize, key: &str, value: &str) -> String {
    let marker = format!("\"{key}\": ");
    let start =
        from + text[from..].find(&marker).unwrap_or_else(|| panic!("no {key} in {text}")) + marker.len();
    let line = text[start..].split('\n').next().unwrap_or_default();
    let end = start + line.trim_end_matches(',').len();
    format!("{}{value}{}", &text[..start], &text[end..])
}

/// Replaces the value of the first `key`.
pub(crate) fn replace_value(text: &str, key: &str, value: &str) -> String {
    replace_after(text, 0, key, value)
}

/// Replaces a value in the entry of a shard.
pub(crate) fn replace_in_shard(text: &str, file: &str, key: &str, value: &str) -> String {
    let entry = text.find(&format!("\"file\": \"{file}\"")).unwrap_or_else(|| panic!("no {file} in {text}"));
    replace_after(text, entry, key, value)
}

/// A JSON string.
pub(crate) fn quote(text: &str) -> String {
    let escaped = text.chars().map(|letter| match letter {
        '"' | '\\' => format!("\\{letter}"),
        letter if (letter as u32) < 32 => format!("\\u{:04x}", letter as u32),
        letter => letter.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}
