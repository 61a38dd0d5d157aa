//! Decoders of Parquet and Arrow panic on some damaged files: here that becomes an error that names the file.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::path::Path;
use std::sync::Once;

use parquet::errors::ParquetError;

use crate::error::{Error, Result};

thread_local! {
    /// Whether this thread is inside [`decode_guarded`].
    static IS_DECODING: Cell<bool> = const { Cell::new(false) };
}

/// Runs a decoder of the file at `path`; a panic is an error like any other, and prints nothing.
///
/// # Errors
/// Fails if the decoder does, or panics.
pub(crate) fn decode_guarded<T>(path: &Path, decode: impl FnOnce() -> Result<T, ParquetError>) -> Result<T> {
    silence_panics_inside();
    let before = IS_DECODING.replace(true);
    let decoded = catch_unwind(AssertUnwindSafe(decode));
    IS_DECODING.set(before);
    let decoded = decoded.unwrap_or_else(|panic| {
        let reason = message(panic.as_ref());
        Err(ParquetError::General(format!("the bytes are damaged, the decoder gave up: {reason}")))
    });
    decoded.map_err(|e| Error::parquet(path, e))
}

/// Has panics inside a decoder reported by the error alone; all others are printed as before.
fn silence_panics_inside() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = take_hook();
        set_hook(Box::new(move |panic| {
            if !IS_DECODING.get() {
                print(panic);
            }
        }));
    });
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_that_names_the_file() {
        let empty: Vec<u8> = Vec::new();
        let error = decode_guarded(Path::new("a.parquet"), || Ok(empty[3])).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("a.parquet: ") && text.contains("the decoder gave up: index out of"),
            "{text}"
        );
        assert_eq!(decode_guarded(Path::new("a.parquet"), || Ok(3)).unwrap(), 3);
    }
}
