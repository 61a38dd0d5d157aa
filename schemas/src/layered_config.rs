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
    /// An override has a key or a value that no config has.
    #[error("--set {text}: {reason}")]
    Override {
        /// The text given.
        text: String,
        /// Why not.
        reason: String,
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

    /// A file that does not hold the config that was asked for, in one line.
    fn file(path: &Path, reason: &impl ToString) -> Self {
        Self::File { path: path.to_owned(), reason: in_one_line(reason) }
    }
}

fn in_one_line(reason: &impl ToString) -> String {
    reason.to_string().trim_end().replace('\n', " ")
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

/// The config that `parse` makes of a text (none: of no keys) with `key=value` overrides on top; keys are dotted, values are
/// TOML, and a bare word is text.
///
/// # Errors
/// Fails if the text cannot be parsed, or `parse` refuses what it is given; the error names the override without which it
/// would not, or else the text's origin.
pub fn read_config<T>(
    config: Option<&ConfigText>,
    overrides: &[String],
    parse: &dyn Fn(toml::Table) -> Result<T, toml::de::Error>,
) -> Result<T, ConfigError> {
    let refusal = match parse(config_table(config, overrides)?) {
        Ok(config) => return Ok(config),
        Err(refusal) => refusal,
    };
    let refuse = |overrides: &[String]| -> Result<Option<toml::de::Error>, ConfigError> {
        Ok(parse(config_table(config, overrides)?).err())
    };
    let blame = |text: &String, reason: &toml::de::Error| ConfigError::Override {
        text: text.clone(),
        reason: in_one_line(reason),
    };
    // One without which all is well, or else the first with which it is not.
    for (at, text) in overrides.iter().enumerate() {
        if refuse(&[&overrides[..at], &overrides[at + 1..]].concat())?.is_none() {
            return Err(blame(text, &refusal));
        }
    }
    let mut is_well = refuse(&[])?.is_none();
    for (at, text) in overrides.iter().enumerate() {
        match refuse(&overrides[..=at])? {
            Some(reason) if is_well => return Err(blame(text, &reason)),
            refusal => is_well = refusal.is_none(),
        }
    }
    let origin = config.map_or(Path::new("(defaults)"), |config| &config.origin);
    Err(ConfigError::file(origin, &refusal))
}

/// The keys of a text with overrides on top.
fn config_table(config: Option<&ConfigText>, overrides: &[String]) -> Result<toml::Table, ConfigError> {
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
        reason: format!("{}{}", name_place(&config.toml, e.span()), e.message().replace('\n', " ")),
    };
    config.toml.parse().map_err(wrong)
}

/// Line, column and text of a place, where it is known.
fn name_place(toml: &str, place: Option<std::ops::Range<usize>>) -> String {
    let Some(before) = place.and_then(|place| toml.get(..place.start)) else { return String::new() };
    let (number, start) = (before.matches('\n').count(), before.rfind('\n').map_or(0, |at| at + 1));
    let column = before[start..].chars().count() + 1;
    let line = toml[start..].lines().next().unwrap_or_default();
    format!("line {}, column {column} (`{line}`): ", number + 1)
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

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Settings {
        optim: Optim,
        name: String,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Optim {
        lr: f64,
        batch: usize,
    }

    fn read(toml: &str, overrides: &[&str]) -> Result<Settings, String> {
        let text = ConfigText { origin: "a.toml".into(), toml: toml.to_owned() };
        let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
        let parse = |table| toml::Value::Table(table).try_into();
        read_config(Some(&text), &overrides, &parse).map_err(|e| e.to_string())
    }

    #[test]
    fn overrides_lie_on_top() {
        let found = read("name = \"a\"\n[optim]\nlr = 1.0\n", &["optim.batch=3", "name=b"]).unwrap();
        assert_eq!(found, Settings { optim: Optim { lr: 1.0, batch: 3 }, name: "b".into() });
    }

    #[test]
    fn what_is_wrong_is_named_where_it_was_said() {
        let unknown = "unknown field `lrr`, expected `lr` or `batch` in `optim`";
        assert_eq!(
            read("", &["name=a", "optim.lrr=1", "optim.lr=1.0"]).unwrap_err(),
            format!("--set optim.lrr=1: {unknown}")
        );
        let error = read("", &["optim.lr=1.0", "optim.batch=many", "optim.lrr=1"]).unwrap_err();
        assert!(error.starts_with("--set optim.batch=many: invalid type"), "the first of two: {error}");
        let error = read("[optim]\nlrr = 1\n", &["name=a"]).unwrap_err();
        assert_eq!(error, format!("a.toml: {unknown}"), "said by the file");
        let error = read("[optim]\nlrr = 1\n", &["nam=a"]).unwrap_err();
        assert!(error.starts_with("a.toml: "), "both: {error}");
        let error = read("name = \"a\"\n[optim]\nlr = = 1\n", &[]).unwrap_err();
        assert!(
            error.starts_with("a.toml: line 3, column 6 (`lr = = 1`): ") && !error.contains('\n'),
            "{error}"
        );
        assert_eq!(read("", &["x"]).unwrap_err(), "config: --set: expected key=value, found \"x\"");
    }
}
