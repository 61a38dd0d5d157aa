//! Config files with `key=value` overrides on top, as one table: the form every config of the project has.

use std::path::{Path, PathBuf};

/// A config that is no table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigTableError {
    /// An override is no `key=value`.
    #[error("config: --set: expected {expected}, found \"{found}\"")]
    Set {
        /// What an override looks like.
        expected: &'static str,
        /// The text given.
        found: String,
    },
    /// The file cannot be read or parsed.
    #[error("{path}: {reason}", path = path.display())]
    File {
        /// The config file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

/// The keys of a config file (none: no keys), with `key=value` overrides on top; keys are dotted, values are
/// TOML, and a bare word is text.
///
/// # Errors
/// Fails if the file cannot be read or parsed, or an override has another form.
pub fn config_table(path: Option<&Path>, overrides: &[String]) -> Result<toml::Table, ConfigTableError> {
    let mut table = match path {
        None => toml::Table::new(),
        Some(path) => read(path)?,
    };
    for text in overrides {
        apply(&mut table, text)
            .map_err(|expected| ConfigTableError::Set { expected, found: text.clone() })?;
    }
    Ok(table)
}

fn read(path: &Path) -> Result<toml::Table, ConfigTableError> {
    let wrong = |reason: String| ConfigTableError::File { path: path.to_owned(), reason };
    let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
    text.parse().map_err(|e: toml::de::Error| wrong(e.to_string().trim_end().to_owned()))
}

fn apply(table: &mut toml::Table, text: &str) -> Result<(), &'static str> {
    let (key, value) = text.split_once('=').ok_or("key=value")?;
    let parsed = format!("v = {value}").parse::<toml::Table>().ok().and_then(|mut t| t.remove("v"));
    let value = parsed.unwrap_or_else(|| toml::Value::String(value.trim().to_owned()));
    let mut path: Vec<&str> = key.trim().split('.').collect();
    let last = path.pop().filter(|k| !k.is_empty()).ok_or("key=value")?;
    let mut here = table;
    for part in path {
        let next = here.entry(part).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        here = next.as_table_mut().ok_or("a key below a table")?;
    }
    here.insert(last.to_owned(), value);
    Ok(())
}
