//! One forward pass: whether it trains, where gradients of kernels go, and the keys of its dropout.

use std::cell::Cell;

use jepa3d_kernels::{Tape, key_of};

/// Rates of what is dropped in a stack of blocks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rates {
    /// After the projection and both layers of the MLP.
    pub hidden: f64,
    /// On attention probabilities.
    pub attention: f64,
    /// Stochastic depth, by block.
    pub path: Vec<f64>,
}

impl Rates {
    pub(crate) fn is_none(&self) -> bool {
        self.hidden == 0.0 && self.attention == 0.0 && self.path.iter().all(|&rate| rate == 0.0)
    }
}

/// State of one forward pass in training.
#[derive(Debug)]
pub(crate) struct Pass {
    /// Where kernels leave gradients.
    pub tape: Tape,
    key: u64,
    uses: Cell<u64>,
    /// Products in bf16 (only where a device is fast at them).
    pub is_half: bool,
}

impl Pass {
    /// A pass whose dropout is a function of `key`.
    pub(crate) fn new(key: u64, is_half: bool) -> Self {
        Self { tape: Tape::default(), key, uses: Cell::new(0), is_half }
    }

    /// A key of its own for the next use of a stack.
    pub(crate) fn next_key(&self) -> u64 {
        self.uses.set(self.uses.get() + 1);
        key_of(self.key, self.uses.get())
    }
}
