//! The most memory that reading one object may take: a small file can decode to gigabytes.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::ParseError;

/// Bytes that the decoded data of one object may take, charged before they are allocated.
///
/// One budget serves the object's main file and all that lies beside it, textures included. Readers charge what they
/// decode to, so that the limit is one on results; what they need besides stays within a small multiple of it.
#[derive(Debug)]
pub struct Budget {
    limit: u64,
    charged: AtomicU64,
}

impl Default for Budget {
    /// [`Budget::DEFAULT_MB`].
    fn default() -> Self {
        Self::from_mb(Self::DEFAULT_MB)
    }
}

impl Budget {
    /// MiB that an object may take unless `run.max_object_mb` says otherwise.
    pub const DEFAULT_MB: u64 = 2048;

    /// A budget of so many bytes.
    pub fn new(limit: u64) -> Self {
        Self { limit, charged: AtomicU64::new(0) }
    }

    /// A budget of so many MiB.
    pub fn from_mb(mb: u64) -> Self {
        Self::new(mb.saturating_mul(1 << 20))
    }

    /// Takes `bytes` for `what` (a noun phrase, for the error).
    ///
    /// # Errors
    /// Fails if less is left; nothing is taken then.
    pub fn charge(&self, bytes: u64, what: &str) -> Result<(), ParseError> {
        let add = |charged: u64| charged.checked_add(bytes).filter(|sum| *sum <= self.limit);
        let taken = self.charged.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        taken.map(|_| ()).map_err(|charged| {
            let mib = |bytes: u64| bytes.div_ceil(1 << 20);
            let expected =
                format!("at most {} MiB decoded for one object (run.max_object_mb)", self.limit >> 20);
            let found = format!("{} MiB for {what} after {} MiB", mib(bytes), mib(charged));
            ParseError::file(expected, found)
        })
    }

    /// Takes the memory of `count` values of `size` bytes each.
    ///
    /// # Errors
    /// Fails as [`Budget::charge`] does, or if the product is beyond 64 bits.
    pub fn charge_values(&self, count: u64, size: usize, what: &str) -> Result<(), ParseError> {
        self.charge(count.saturating_mul(size as u64), what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_decides_and_a_refusal_takes_nothing() {
        let budget = Budget::new(10 << 20);
        budget.charge(6 << 20, "points").unwrap();
        let error = budget.charge(5 << 20, "texture \"a.png\"").unwrap_err().to_string();
        assert_eq!(
            error,
            "expected at most 10 MiB decoded for one object (run.max_object_mb), \
             found 5 MiB for texture \"a.png\" after 6 MiB"
        );
        budget.charge(4 << 20, "points").unwrap();
        assert!(budget.charge_values(u64::MAX, 8, "points").is_err());
    }
}
