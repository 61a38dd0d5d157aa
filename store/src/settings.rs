//! Where shards are kept on this machine, how much of it, and how long a store is asked again.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Result};

/// Variable that names the folder of the cache.
const CACHE: &str = "JEPA3D_CACHE";
/// Variable that bounds the cache.
const BYTES: &str = "JEPA3D_CACHE_BYTES";
/// Variable that says how long a store is asked again, in seconds.
const PATIENCE: &str = "JEPA3D_STORE_SECONDS";

/// Bytes of the cache unless told otherwise.
const DEFAULT_BYTES: u64 = 32 << 30;

const SIZE: &str = "bytes, or a number with K, M, G or T for powers of 1024";

/// How object stores are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSettings {
    /// Folder of the cache; default: `JEPA3D_CACHE`, else `jepa3d` in the user's cache folder.
    pub cache: PathBuf,
    /// Bytes that the cache may hold; default: `JEPA3D_CACHE_BYTES`, else 32 GiB.
    pub cache_bytes: u64,
    /// How long a store that fails is asked again, with growing pauses; default: `JEPA3D_STORE_SECONDS`, else 120.
    pub patience: Duration,
}

impl StoreSettings {
    /// The settings of the environment, where `cache` and `cache_bytes` (a size in words) do not say otherwise.
    ///
    /// # Errors
    /// Fails if a size or a time is none.
    pub fn read(cache: Option<PathBuf>, cache_bytes: Option<&str>) -> Result<Self> {
        let variable = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
        let cache = cache.or_else(|| variable(CACHE).map(PathBuf::from)).unwrap_or_else(find_user_cache);
        let cache_bytes = match (cache_bytes, variable(BYTES)) {
            (Some(text), _) => parse_size("--cache-bytes", text)?,
            (None, Some(text)) => parse_size(BYTES, &text)?,
            (None, None) => DEFAULT_BYTES,
        };
        let seconds = variable(PATIENCE).map(|text| {
            let wrong = || Error::Setting { name: PATIENCE, expected: "seconds", found: text.clone() };
            text.parse::<u64>().map_err(|_| wrong())
        });
        Ok(Self { cache, cache_bytes, patience: Duration::from_secs(seconds.transpose()?.unwrap_or(120)) })
    }
}

fn find_user_cache() -> PathBuf {
    let folder = |name| std::env::var_os(name).filter(|text| !text.is_empty()).map(PathBuf::from);
    let caches = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")));
    caches.unwrap_or_else(std::env::temp_dir).join("jepa3d")
}

fn parse_size(name: &'static str, text: &str) -> Result<u64> {
    let wrong = || Error::Setting { name, expected: SIZE, found: format!("{text:?}") };
    let trimmed = text.trim();
    let split = trimmed.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(split);
    let shift = match unit.trim().to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        "T" | "TB" | "TIB" => 40,
        _ => return Err(wrong()),
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
    bytes.filter(|&bytes| bytes > 0).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_powers_of_1024() {
        let size = |text| parse_size("--cache-bytes", text).ok();
        assert_eq!(size("123"), Some(123));
        assert_eq!(size("64M"), Some(64 << 20));
        assert_eq!(size("2 GiB"), Some(2 << 30));
        for wrong in ["", "0", "-1", "12X", "1.5G", "G", "99999999999T"] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
        let error = parse_size("--cache-bytes", "many").unwrap_err().to_string();
        assert_eq!(error, format!("--cache-bytes: expected {SIZE}, found \"many\""));
    }
}
