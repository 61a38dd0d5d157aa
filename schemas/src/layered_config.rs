//! Config files with `key=value` overrides on top, as one table: the form every config of the project has.

use std::path::{Path, PathBuf};

/// What is wrong with a config.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// An override is no `key=value`.
    #[error("config: --set: expected {expected}, found \"{found}\"")]
    Set {
        /// What an override looks like.
        expected: &'static str,
        /// The text given.
        found: String,
    },
    /// The file cannot be read or parsed, or does not hold the config that was asked for.
    #[error("{path}: {reason}", path = path.display())]
    File {
        /// The config file.
        path: PathBuf,
        /// Why not, with the place.
        reason: String,
    },
    /// A setting is unknown or out of range.
    #[error("config: {key}: expected {expected}, found {found}")]
    Setting {
        /// Dotted key.
        key: String,
        /// Legal values.
        expected: String,
        /// The value given.
        found: String,
    },
}

impl ConfigError {
    /// A setting that is unknown or out of range.
    pub fn setting(key: impl Into<String>, expected: impl Into<String>, found: impl ToString) -> Self {
        Self::Setting { key: key.into(), expected: expected.into(), found: found.to_string() }
    }

    /// A file that does not hold the config that was asked for: in one line, for an override has no place in the file that
    /// could be shown.
    pub fn file(path: &Path, reason: &impl ToString) -> Self {
        Self::File { path: path.to_owned(), reason: reason.to_string().trim_end().replace('\n', " ") }
    }
}

/// A config as written: the TOML of a file, or of a preset that is part of the program.
#[derive(Clone, Debug)]
pub struct ConfigText {
    /// The file, or the name of the preset: what errors about the text begin with.
    pub origin: PathBuf,
    /// The TOML, not parsed yet.
    pub toml: String,
}

impl ConfigText {
    /// Reads a config file.
    ///
    /// # Errors
    /// Fails if the file cannot be read.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let toml = std::fs::read_to_string(path).map_err(|e| ConfigError::file(path, &e))?;
        Ok(Self { origin: path.to_owned(), toml })
    }
}

/// The keys of a config (none: no keys), with `key=value` overrides on top; keys are dotted, values are
/// TOML, and a bare word is text.
///
/// # Errors
/// Fails if the text cannot be parsed, or an override has another form.
pub fn config_table(config: Option<&ConfigText>, overrides: &[String]) -> Result<toml::Table, ConfigError> {
    let mut table = match config {
        None => toml::Table::new(),
        Some(config) => parse(config)?,
    };
    for text in overrides {
        apply(&mut table, text).map_err(|expected| ConfigError::Set { expected, found: text.clone() })?;
    }
    Ok(table)
}

fn parse(config: &ConfigText) -> Result<toml::Table, ConfigError> {
    let wrong = |e: toml::de::Error| ConfigError::File {
        path: config.origin.clone(),
        reason: e.to_string().trim_end().to_owned(),
    };
    config.toml.parse().map_err(wrong)
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
