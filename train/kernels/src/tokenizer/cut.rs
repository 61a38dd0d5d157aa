//! How patches are shared out: into chunks, fixed by their number alone, and blocks that stay in the cache.

/// Rows of activations that are worked on at a time: they stay in the second-level cache.
const BLOCK_ROWS: usize = 128;
/// Chunks that threads share out among themselves.
const CHUNKS: usize = 32;

/// How patches are cut: all but the last chunk have `chunk` patches, all but the last block of a chunk `block`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    pub(crate) patches: usize,
    pub(crate) k: usize,
    pub(crate) chunk: usize,
    pub(crate) block: usize,
}

impl Cut {
    pub(crate) fn new(patches: usize, k: usize) -> Self {
        let block = (BLOCK_ROWS / k).max(1);
        let chunk = patches.div_ceil(CHUNKS).next_multiple_of(block);
        Self { patches, k, chunk, block }
    }
}
