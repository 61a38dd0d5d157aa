//! `config.toml` of a run folder: the resolved config, with a hash of itself in the last line.

use std::io::Read;
use std::path::Path;

use jepa3d_schemas::{
    ConfigText, Error as DataError, check_hashed_toml, hashed_toml, open_regular, write_atomically,
};

use crate::config::PretrainConfig;
use crate::damaged_file::set_aside;
use crate::error::Result;

/// The resolved config inside a run folder.
pub(crate) const CONFIG_FILE: &str = "config.toml";

/// Bytes of a config, at most.
const MOST: u64 = 1 << 20;

/// Writes down what a run is made with. A file that is damaged is kept beside, with a warning.
///
/// # Errors
/// Fails if the disk does.
pub(crate) fn write_run_config(folder: &Path, config: &PretrainConfig) -> Result<()> {
    let path = folder.join(CONFIG_FILE);
    let is_there = path.symlink_metadata().is_ok();
    if is_there && let Err(damage) = read_run_config(folder) {
        let beside = set_aside(&path)?;
        tracing::warn!("{damage}; written anew, the file as it was: {}", beside.display());
    }
    write_toml(folder, &config.to_toml())
}

/// Writes the resolved config of any run.
///
/// # Errors
/// Fails if the disk does.
pub(crate) fn write_toml(folder: &Path, toml: &str) -> Result<()> {
    Ok(write_atomically(&folder.join(CONFIG_FILE), hashed_toml(toml).as_bytes())?)
}

/// Reads the config of the run folder `folder`.
///
/// # Errors
/// Fails if there is none, it is not the one that was written, or it is no config.
pub fn read_run_config(folder: &Path) -> Result<PretrainConfig> {
    let text = read_text(&folder.join(CONFIG_FILE))?;
    check_hash(&text)?;
    PretrainConfig::parse(&text, &[])
}

fn read_text(path: &Path) -> Result<ConfigText, DataError> {
    let mut toml = String::new();
    let read = open_regular(path).and_then(|file| file.take(MOST + 1).read_to_string(&mut toml));
    let length = read.map_err(|e| DataError::io(path, e))? as u64;
    if length > MOST {
        return Err(DataError::contract(path, "file", format!("at most {MOST} bytes"), "more"));
    }
    Ok(ConfigText { origin: path.to_owned(), toml })
}

/// Compares a config with the hash in its last line; one from before there were hashes has no comments at all.
fn check_hash(text: &ConfigText) -> Result<(), DataError> {
    let ConfigText { origin, toml } = text;
    if check_hashed_toml(origin, toml.as_bytes())? {
        return Ok(());
    }
    match toml.lines().find(|line| line.contains('#')) {
        None => Ok(()),
        Some(line) => Err(DataError::contract(origin, "last line", "the hash of the file", line.trim())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_damaged_bit_is_found_and_the_file_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(CONFIG_FILE);
        let text = ConfigText { origin: "a".into(), toml: "preset = \"a\"\n".into() };
        let config = PretrainConfig::parse(&text, &["run.seed=3".to_owned()]).unwrap();
        write_run_config(folder.path(), &config).unwrap();
        assert_eq!(read_run_config(folder.path()).unwrap(), config);
        let whole = std::fs::read(&path).unwrap();
        for bit in 0..8 * whole.len() {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &damaged).unwrap();
            let error = read_run_config(folder.path()).expect_err(&format!("bit {bit}")).to_string();
            assert!(error.contains(CONFIG_FILE), "{error}");
        }
        // Such a file stops no run, and is kept.
        write_run_config(folder.path(), &config).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), whole);
        assert!(folder.path().join("config.damaged-1.toml").exists());
        // One from before there were hashes.
        std::fs::write(&path, config.to_toml()).unwrap();
        assert_eq!(read_run_config(folder.path()).unwrap(), config);
    }
}
