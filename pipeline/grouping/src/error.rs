//! Why a cloud could not be grouped.

/// Errors of this crate.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// More was asked for than the cloud has.
    #[error("expected at least {expected} {what}, found {found}")]
    TooFew {
        /// `points`, `occupied cells`.
        what: &'static str,
        /// How many are needed.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// An index beyond the cloud.
    #[error("expected an index below {points}, found {index}")]
    Index {
        /// Points of the cloud.
        points: usize,
        /// The index given.
        index: u32,
    },
    /// A coordinate that is NaN or infinite.
    #[error("expected finite coordinates, found {found:?} at point {index}")]
    NotFinite {
        /// The point.
        index: usize,
        /// Its coordinates.
        found: [f32; 3],
    },
    /// More points than indices of 32 bits can name.
    #[error("expected at most 2^31 points, found {found}")]
    TooMany {
        /// Points of the cloud.
        found: usize,
    },
    /// Room for neighbours that is not as long as what is asked for.
    #[error("expected rows of {expected} neighbours in all, found {found}")]
    Rows {
        /// Places times neighbours.
        expected: usize,
        /// The room given.
        found: usize,
    },
    /// A cell edge that is zero, negative or not finite.
    #[error("expected a positive cell edge, found {found}")]
    Edge {
        /// The edge given.
        found: f64,
    },
    /// More points per block than counts of 16 bits can say.
    #[error("expected at most 65535 points per block, found {found}")]
    BlockSize {
        /// The block size given.
        found: usize,
    },
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
