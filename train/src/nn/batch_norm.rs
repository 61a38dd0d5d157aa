//! Batch norm over rows, from candle's operators, and the running statistics that batch norms keep.

use candle_core::{Tensor, Var};
use jepa3d_kernels::RunningTensors;

use super::norm_activation::{ColumnMoments, NormActivation};
use super::parameter_builder::{ParameterBuilder, ParameterKind};
use crate::error::Result;

/// Added to variances.
const EPSILON: f64 = 1e-5;
/// Share of a batch's statistics in the running ones.
pub(super) const MOMENTUM: f64 = 0.1;

/// Running statistics of one batch norm.
#[derive(Clone, Debug)]
pub(super) struct RunningStats {
    pub mean: Var,
    /// Of the whole population, estimated from batches: divided by one less than there are.
    pub var: Var,
}

impl RunningStats {
    /// As kernels of devices take them.
    pub(super) fn tensors(&self) -> RunningTensors<'_> {
        RunningTensors { mean: self.mean.as_tensor(), variance: self.var.as_tensor() }
    }

    /// Takes over those of another batch norm.
    pub(super) fn copy_from(&self, other: &Self) -> Result<()> {
        self.mean.set(other.mean.as_tensor())?;
        Ok(self.var.set(other.var.as_tensor())?)
    }

    /// Moves towards the statistics of a batch by `share` of the way.
    pub(super) fn follow(&self, mean: &Tensor, var: &Tensor, share: f64) -> Result<()> {
        for (running, batch) in [(&self.mean, mean), (&self.var, var)] {
            running.set(&((running.as_tensor() * (1.0 - share))? + (batch * share)?)?)?;
        }
        Ok(())
    }
}

/// Weight and bias of a batch norm below `vb`, and its running statistics.
pub(super) fn batch_norm_parameters(
    channels: usize,
    vb: &ParameterBuilder<'_>,
) -> Result<([Tensor; 2], RunningStats)> {
    let weight = vb.get_with_hints(channels, "weight", ParameterKind::Norm { value: 1.0 })?;
    let bias = vb.get_with_hints(channels, "bias", ParameterKind::Norm { value: 0.0 })?;
    let mean = vb.get_with_hints(channels, "running_mean", ParameterKind::Statistic { value: 0.0 })?;
    let var = vb.get_with_hints(channels, "running_var", ParameterKind::Statistic { value: 1.0 })?;
    // Both are variables already: no copies are made.
    let stats = RunningStats { mean: Var::from_tensor(&mean)?, var: Var::from_tensor(&var)? };
    Ok(([weight, bias], stats))
}

/// Batch norm of the rows of a matrix, each column a channel (PyTorch's `BatchNorm1d`).
#[derive(Clone, Debug)]
pub(crate) struct BatchNorm {
    weight: Tensor,
    bias: Tensor,
    running: RunningStats,
}

impl BatchNorm {
    pub(crate) fn new(channels: usize, vb: &ParameterBuilder<'_>) -> Result<Self> {
        let ([weight, bias], running) = batch_norm_parameters(channels, vb)?;
        Ok(Self { weight, bias, running })
    }

    /// With the statistics of the batch, which the running ones follow.
    ///
    /// # Shapes
    /// `x [n, C]` to `[n, C]`; `n` is at least 2.
    pub(crate) fn train(&self, x: &Tensor) -> Result<Tensor> {
        let rows = x.dim(0)? as f64;
        let mean = x.mean_keepdim(0)?;
        let centered = x.broadcast_sub(&mean)?;
        let variance = centered.sqr()?.mean_keepdim(0)?;
        let unbiased = (variance.detach() * (rows / (rows - 1.0).max(1.0)))?.squeeze(0)?;
        self.running.follow(&mean.detach().squeeze(0)?, &unbiased, MOMENTUM)?;
        self.scale(&centered.broadcast_div(&(variance + EPSILON)?.sqrt()?)?)
    }

    /// With the running statistics.
    ///
    /// # Shapes
    /// `x [n, C]` to `[n, C]`.
    pub(crate) fn eval(&self, x: &Tensor) -> Result<Tensor> {
        let deviation = (self.running.var.as_tensor() + EPSILON)?.sqrt()?;
        self.scale(&x.broadcast_sub(self.running.mean.as_tensor())?.broadcast_div(&deviation)?)
    }

    /// As [`BatchNorm::train`], with a rectifier after it: what is negative is scaled by `slope` (0: ReLU). One operation on the
    /// CPU, for many rows.
    ///
    /// # Shapes
    /// `x [n, C]` to `[n, C]`; `n` is at least 2.
    pub(crate) fn train_rectified(&self, x: &Tensor, slope: f64) -> Result<Tensor> {
        if !x.device().is_cpu() {
            return rectify(&self.train(x)?, slope);
        }
        let (rows, width) = x.dims2()?;
        let moments = ColumnMoments::measure(&x.flatten_all()?.to_vec1::<f32>()?, width);
        let tensor = |values: &[f32]| Tensor::from_slice(values, width, x.device());
        let unbiased = (tensor(&moments.variance)? * (rows as f64 / (rows as f64 - 1.0).max(1.0)))?;
        self.running.follow(&tensor(&moments.mean)?, &unbiased, MOMENTUM)?;
        NormActivation::new(&moments, EPSILON, slope).apply(x, &self.weight, &self.bias)
    }

    /// As [`BatchNorm::eval`], with a rectifier after it.
    ///
    /// # Shapes
    /// `x [n, C]` to `[n, C]`.
    pub(crate) fn eval_rectified(&self, x: &Tensor, slope: f64) -> Result<Tensor> {
        if !x.device().is_cpu() {
            return rectify(&self.eval(x)?, slope);
        }
        let values = |var: &Var| var.as_tensor().to_vec1::<f32>();
        let moments =
            ColumnMoments { mean: values(&self.running.mean)?, variance: values(&self.running.var)? };
        Ok(NormActivation::new(&moments, EPSILON, slope).apply(x, &self.weight, &self.bias)?.detach())
    }

    fn scale(&self, standardised: &Tensor) -> Result<Tensor> {
        Ok(standardised.broadcast_mul(&self.weight)?.broadcast_add(&self.bias)?)
    }
}

/// What is positive, and `slope` of the rest.
fn rectify(x: &Tensor, slope: f64) -> Result<Tensor> {
    Ok(((x.relu()? * (1.0 - slope))? + (x * slope)?)?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use jepa3d_schemas::Draws;

    use super::*;
    use crate::nn::ParameterStore;

    fn drawn(shape: (usize, usize), name: &str) -> Tensor {
        let mut draws = Draws::new(0, name, "batch norm");
        let values: Vec<f32> = (0..shape.0 * shape.1).map(|_| draws.normal() as f32).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    #[test]
    fn one_operation_is_what_candles_operators_make() {
        // More rows than a piece, and not a multiple.
        let (rows, width) = (1300, 7);
        let store = ParameterStore::new(0, &Device::Cpu);
        let norm = BatchNorm::new(width, &store.builder()).unwrap();
        let parameters = store.into_parameters();
        let moved = ["weight", "bias"].map(|name| parameters.get(name).unwrap().var.clone());
        moved.iter().for_each(|var| {
            let noise = drawn((1, width), "noise").squeeze(0).unwrap();
            var.set(&(var.as_tensor() + (noise * 0.3).unwrap()).unwrap()).unwrap();
        });
        let x = Var::from_tensor(&(drawn((rows, width), "x") + 2.0).unwrap()).unwrap();
        let scale = drawn((rows, width), "scale");
        let running = || {
            ["running_mean", "running_var"]
                .map(|name| parameters.get(name).unwrap().var.to_vec1::<f32>().unwrap())
        };
        let near =
            |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 2e-4 * (1.0 + b.abs()));
        let numbers = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for slope in [0.0, 0.2, 1.0] {
            let before = running().map(|values| Tensor::new(values, &Device::Cpu).unwrap());
            let found = [
                norm.train_rectified(x.as_tensor(), slope).unwrap(),
                norm.eval_rectified(x.as_tensor(), slope).unwrap(),
            ];
            let moved_to = running();
            for (name, values) in ["running_mean", "running_var"].iter().zip(&before) {
                parameters.get(name).unwrap().var.set(values).unwrap();
            }
            let twin = rectify(&norm.train(x.as_tensor()).unwrap(), slope).unwrap();
            let twins = [twin, rectify(&norm.eval(x.as_tensor()).unwrap(), slope).unwrap()];
            assert!(moved_to.iter().zip(running()).all(|(a, b)| near(a, &b)));
            assert!(found.iter().zip(&twins).all(|(a, b)| near(&numbers(a), &numbers(b))), "slope {slope}");
            let gradients = |out: &Tensor| {
                let store = (out * &scale).unwrap().sum_all().unwrap().backward().unwrap();
                let all = [x.as_tensor(), moved[0].as_tensor(), moved[1].as_tensor()];
                all.map(|tensor| numbers(store.get(tensor).unwrap()))
            };
            for (own, twin) in gradients(&found[0]).iter().zip(gradients(&twins[0])) {
                let size = twin.iter().fold(1.0f32, |m, x| m.max(x.abs()));
                assert!(own.iter().zip(&twin).all(|(a, b)| (a - b).abs() < 2e-4 * size), "slope {slope}");
            }
        }
    }
}
