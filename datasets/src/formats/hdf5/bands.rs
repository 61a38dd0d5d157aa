//! The most recently used bands of a chunked array, decoded.
//!
//! Compressed arrays are stored in chunks that span many rows, so reading row by row would decode
//! each chunk once a row. Threads that want the same band wait for the one that decodes it;
//! threads that want different bands do not wait for each other.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Result;

/// A band being decoded (empty, locked) or decoded (full).
type BandSlot = Arc<Mutex<Option<Arc<Vec<u8>>>>>;

/// Decoded bands by number, the least recently used first.
#[derive(Default)]
pub(super) struct Bands(Mutex<VecDeque<(usize, BandSlot)>>);

impl Bands {
    /// Band `band`, from `decode` if it is not held; at most `kept` bands stay.
    ///
    /// # Errors
    /// Those of `decode`; a failure is not remembered.
    pub(super) fn get(
        &self,
        band: usize,
        kept: usize,
        decode: impl FnOnce() -> Result<Vec<u8>>,
    ) -> Result<Arc<Vec<u8>>> {
        if kept == 0 {
            return decode().map(Arc::new);
        }
        let slot = self.slot(band, kept);
        let mut held = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = &*held {
            return Ok(Arc::clone(bytes));
        }
        let bytes = Arc::new(decode()?);
        *held = Some(Arc::clone(&bytes));
        Ok(bytes)
    }

    /// The slot of a band, now the most recently used one.
    fn slot(&self, band: usize, kept: usize) -> BandSlot {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = slots.iter().position(|(b, _)| *b == band);
        let entry = place.and_then(|i| slots.remove(i)).unwrap_or_else(|| (band, BandSlot::default()));
        let slot = Arc::clone(&entry.1);
        slots.push_back(entry);
        while slots.len() > kept {
            slots.pop_front();
        }
        slot
    }
}
