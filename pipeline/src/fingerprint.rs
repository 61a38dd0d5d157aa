//! Hashes of plans and sources: equal ones mean equal samples.

use jepa3d_schemas::CatalogRow;

/// Hex digits of a hash that are kept: 128 bits.
const DIGITS: usize = 32;

/// Hash of some texts, in hex; each with its length, so that no two lists of texts run together.
pub(crate) fn hash_texts(parts: &[&str]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex()[..DIGITS].to_owned()
}

/// Fingerprint of the views: that of the points and the plan of the views.
pub(crate) fn views_fingerprint(points: &str, plan: &str) -> String {
    hash_texts(&[points, plan])
}

/// Hash of a plan and the source bytes of its objects.
pub(crate) struct Fingerprint(blake3::Hasher);

impl Fingerprint {
    /// The hash of a plan without objects.
    pub(crate) fn new(plan: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(plan.as_bytes());
        Self(hasher)
    }

    /// Adds the sources of further objects.
    pub(crate) fn add(&mut self, catalog: &[CatalogRow]) {
        for row in catalog {
            self.0.update(&(row.source_hash.len() as u64).to_le_bytes());
            self.0.update(row.source_hash.as_bytes());
        }
    }

    /// The hash in hex.
    pub(crate) fn finish(&self) -> String {
        self.0.finalize().to_hex()[..DIGITS].to_owned()
    }
}
