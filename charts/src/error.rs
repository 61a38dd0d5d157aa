//! Why a chart could not be drawn.

/// Errors of drawing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The picture could not be made of its elements.
    #[error("{reason}")]
    Picture {
        /// What the plot library says.
        reason: String,
    },
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
