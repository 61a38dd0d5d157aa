//! Parts of one batch that pass forward and backward at once, each somewhere else, and meet where a statistic is of all.
//!
//! What couples samples (means, variances, pooled features) is found for every part and added in the order of the parts, so
//! that the sums have the same bits wherever the parts are. `sum_parts` and [`gather_parts`] are nodes of candle's graph whose
//! backward meets, or scales, in the same way: every part differentiates a loss of its own, and the whole loss is their sum.

use std::fmt::Debug;
use std::sync::Arc;

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, CustomOp1, Layout, Result, Shape, Storage, Tensor, bail};

/// One part's way to all of them.
pub trait BatchParts: Debug + Send + Sync {
    /// Parts of the batch.
    fn count(&self) -> usize;

    /// Which of them this is.
    fn number(&self) -> usize;

    /// What all parts hand in, one behind the other; each hands in equally many, for the same purpose.
    ///
    /// # Errors
    /// Fails if another part does, or asks for something else.
    fn gather_wide(&self, purpose: &'static str, own: &[f64]) -> Result<Vec<f64>>;

    /// As [`BatchParts::gather_wide`], in f32.
    ///
    /// # Errors
    /// As [`BatchParts::gather_wide`].
    fn gather(&self, purpose: &'static str, own: &[f32]) -> Result<Vec<f32>>;
}

/// Replaces sums of this part by those of all, added in their order; without parts nothing is to be done.
///
/// # Errors
/// Fails as [`BatchParts::gather_wide`] does.
pub fn add_parts(parts: Option<&dyn BatchParts>, purpose: &'static str, sums: &mut [f64]) -> Result<()> {
    let Some(parts) = parts else { return Ok(()) };
    let all = parts.gather_wide(purpose, sums)?;
    sums.fill(0.0);
    for part in all.chunks_exact(sums.len().max(1)) {
        sums.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
    }
    Ok(())
}

/// The sum over all parts of a tensor of theirs.
///
/// # Shapes
/// That of `x`, which is the same in all parts.
///
/// # Errors
/// Fails if a tensor is not f32, or as [`BatchParts::gather_wide`] does.
pub(crate) fn sum_parts(x: &Tensor, parts: &Arc<dyn BatchParts>) -> Result<Tensor> {
    let sums = add_numbers(&**parts, "a sum", x)?;
    enter(x, sums, OverParts { parts: parts.clone(), what: Coupling::Sum })
}

/// The rows of all parts, one behind the other. What all parts make of them alike has the gradient of what one makes, times the
/// number of parts: no part needs to be asked.
///
/// # Shapes
/// `x [b, ..]` to `[parts * b, ..]`.
///
/// # Errors
/// As `sum_parts`.
pub fn gather_parts(x: &Tensor, parts: &Arc<dyn BatchParts>) -> Result<Tensor> {
    let mut dims = x.dims().to_vec();
    match dims.first_mut() {
        Some(rows) => *rows *= parts.count(),
        None => bail!("the rows of parts: expected a tensor with rows, found a scalar"),
    }
    let all = parts.gather("rows", &x.flatten_all()?.to_vec1::<f32>()?)?;
    let all = Tensor::from_vec(all, dims, x.device())?;
    enter(x, all, OverParts { parts: parts.clone(), what: Coupling::Rows })
}

/// The sums over all parts, in f64, of a tensor.
fn add_numbers(parts: &dyn BatchParts, purpose: &'static str, own: &Tensor) -> Result<Tensor> {
    let own_numbers: Vec<f32> = own.flatten_all()?.to_vec1()?;
    let mut sums: Vec<f64> = own_numbers.iter().map(|&x| f64::from(x)).collect();
    add_parts(Some(parts), purpose, &mut sums)?;
    let sums: Vec<f32> = sums.into_iter().map(|x| x as f32).collect();
    Tensor::from_vec(sums, own.shape(), own.device())
}

/// What was found of `x` as a function of it, in candle's graph.
fn enter(x: &Tensor, found: Tensor, how: OverParts) -> Result<Tensor> {
    x.apply_op1(PartsNode { found, how })
}

/// How parts were put together.
struct OverParts {
    parts: Arc<dyn BatchParts>,
    what: Coupling,
}

#[derive(Clone, Copy)]
enum Coupling {
    Sum,
    Rows,
}

/// A node whose output the parts have found already, on whatever device it is.
struct PartsNode {
    found: Tensor,
    how: OverParts,
}

impl CustomOp1 for PartsNode {
    fn name(&self) -> &'static str {
        "over-parts"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        match &*self.found.storage_and_layout().0 {
            Storage::Cpu(storage) => Ok((storage.clone(), self.found.shape().clone())),
            _ => bail!("{}: the output is not where its argument is", self.name()),
        }
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        let (storage, layout) = self.found.storage_and_layout();
        match &*storage {
            Storage::Cuda(storage) => Ok((storage.try_clone(layout)?, self.found.shape().clone())),
            _ => bail!("{}: the output is not where its argument is", self.name()),
        }
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let OverParts { parts, what } = &self.how;
        match what {
            Coupling::Sum => add_numbers(&**parts, "the gradient of a sum", gradient).map(Some),
            Coupling::Rows => {
                let rows = x.dim(0)?;
                let own = gradient.narrow(0, parts.number() * rows, rows)?;
                Ok(Some((own * parts.count() as f64)?))
            }
        }
    }
}
