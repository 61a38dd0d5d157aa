//! One forward pass in training: where gradients of kernels go, the keys of its dropout, how long its parts take.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Instant;

use jepa3d_kernels::{BatchParts, Precision, Tape, key_of};

use crate::error::Result;
use crate::parallel::OwnPart;
use crate::precision::PassPrecision;

/// State of one forward pass.
#[derive(Debug)]
pub(crate) struct ForwardPass {
    /// Where kernels leave gradients.
    pub tape: Tape,
    /// Products of candle's operators in bf16 (devices other than the CPU).
    pub is_bf16: bool,
    /// Products of the kernels.
    pub precision: Precision,
    /// Times of its parts.
    pub watch: Stopwatch,
    dropout: u64,
    uses: Cell<u64>,
    part: Option<PassPart>,
}

/// The part of a batch that a pass is of.
#[derive(Debug)]
struct PassPart {
    part: Arc<OwnPart>,
    /// Key of what all parts draw alike.
    shared: u64,
}

impl ForwardPass {
    /// A pass whose dropout is a function of `dropout`.
    pub(crate) fn new(dropout: u64, is_bf16: bool) -> Self {
        let watch = Stopwatch::start();
        let precision = Precision::F32;
        Self { tape: Tape::default(), is_bf16, precision, watch, dropout, uses: Cell::new(0), part: None }
    }

    /// A pass of a run.
    pub(crate) fn of_run(dropout: u64, precision: PassPrecision) -> Self {
        let PassPrecision { is_bf16, kernels } = precision;
        Self::new(dropout, is_bf16).with_precision(kernels)
    }

    /// The same pass with kernels of this precision.
    pub(crate) fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// The same pass of a part of a batch; `shared`: what all parts draw alike is a function of it.
    pub(crate) fn of_part(self, part: OwnPart, shared: u64) -> Self {
        Self { part: Some(PassPart { part: Arc::new(part), shared }), ..self }
    }

    /// Where the parts of the batch meet; none if the pass is of all of it.
    pub(crate) fn parts(&self) -> Option<&dyn BatchParts> {
        self.part.as_ref().map(|passed| &*passed.part as &dyn BatchParts)
    }

    /// As [`ForwardPass::parts`], to be kept by operators.
    pub(crate) fn shared_parts(&self) -> Option<Arc<dyn BatchParts>> {
        self.part.as_ref().map(|passed| passed.part.clone() as Arc<dyn BatchParts>)
    }

    /// Changes something of the model once, whatever the parts.
    ///
    /// # Errors
    /// Fails if it does, or the parts no longer meet.
    pub(crate) fn change_once(
        &self,
        purpose: &'static str,
        change: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        match &self.part {
            Some(passed) => passed.part.do_once(purpose, change),
            None => change(),
        }
    }

    /// What other draws of the pass are made from, the same in all parts; no dropout is keyed by it.
    pub(crate) fn draw_key(&self) -> u64 {
        key_of(self.part.as_ref().map_or(self.dropout, |passed| passed.shared), 0)
    }

    /// The dropout key of the next stack of blocks.
    ///
    /// It is a function of the pass's key and of how many stacks came before, counted from 1: stacks that a model runs in
    /// another order drop other elements. The bytes of checkpoints rest on that count.
    pub(crate) fn next_key(&self) -> u64 {
        self.uses.set(self.uses.get() + 1);
        key_of(self.dropout, self.uses.get())
    }
}

/// Laps of a pass by name, for whoever wants to know which part takes how long.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    last: Cell<Instant>,
    laps: RefCell<Vec<(&'static str, f64)>>,
}

impl Stopwatch {
    fn start() -> Self {
        Self { last: Cell::new(Instant::now()), laps: RefCell::default() }
    }

    /// Ends the part `name`, and begins the next.
    pub(crate) fn lap(&self, name: &'static str) {
        let begun = self.last.replace(Instant::now());
        self.laps.borrow_mut().push((name, begun.elapsed().as_secs_f64()));
    }

    /// Seconds of every part so far.
    pub(crate) fn laps(&self) -> Vec<(&'static str, f64)> {
        self.laps.borrow().clone()
    }
}
