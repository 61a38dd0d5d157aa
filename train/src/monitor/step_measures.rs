//! What every step measures: how far predictions and targets spread, and how well the ones explain the others.

use candle_core::Tensor;
use jepa3d_probe::explained_share;

use crate::error::Result;
use crate::models::StepOutput;

/// Measured on every step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StepMeasures {
    /// Standard deviation of a channel over all predictions, mean over channels.
    pub pred_std: f64,
    /// Standard deviation of a channel over all targets, mean over channels.
    pub target_std: f64,
    /// 1 - squared error / variance of the targets.
    pub r2: f64,
    /// Terms of a loss that has several.
    pub terms: Vec<(&'static str, f64)>,
}

impl StepMeasures {
    /// Measures what one forward pass gave.
    pub(crate) fn measure(output: &StepOutput) -> Result<Self> {
        if let Some(record) = &output.record {
            let values = record.to_vec1::<f32>()?;
            let [pred_std, target_std, r2] = [1, 2, 3].map(|at| f64::from(values[at]));
            return Ok(Self { pred_std, target_std, r2, terms: read_terms(output)? });
        }
        if let Some([pred_std, target_std, r2]) =
            output.kind.for_device(1.0).measure(&output.predictions, &output.targets)?
        {
            return Ok(Self { pred_std, target_std, r2, terms: read_terms(output)? });
        }
        let width = output.predictions.dims().last().copied().unwrap_or(1);
        let predictions: Vec<f32> = output.scaled_predictions()?.flatten_all()?.to_vec1()?;
        let targets: Vec<f32> = output.targets.flatten_all()?.to_vec1()?;
        Ok(Self {
            pred_std: channel_std(&predictions, width),
            target_std: channel_std(&targets, width),
            r2: explained_share(&predictions, &targets, width),
            terms: read_terms(output)?,
        })
    }

    /// As numbers, which [`StepMeasures::with_numbers`] reads.
    pub(crate) fn numbers(&self) -> Vec<f64> {
        let terms = self.terms.iter().map(|&(_, value)| value);
        [self.pred_std, self.target_std, self.r2].into_iter().chain(terms).collect()
    }

    /// The same measures of another part of the batch, from their numbers.
    pub(crate) fn with_numbers(&self, numbers: &[f64]) -> Self {
        let terms = self.terms.iter().zip(&numbers[3..]).map(|(&(name, _), &value)| (name, value));
        Self { pred_std: numbers[0], target_std: numbers[1], r2: numbers[2], terms: terms.collect() }
    }

    /// The means over several batches of one step.
    pub(crate) fn average(all: &[Self]) -> Self {
        let mean = |measure: fn(&Self) -> f64| all.iter().map(measure).sum::<f64>() / all.len().max(1) as f64;
        let names = all.first().map_or(&[][..], |first| &first.terms).iter().enumerate();
        let term = |i: usize| all.iter().map(|m| m.terms[i].1).sum::<f64>() / all.len() as f64;
        Self {
            pred_std: mean(|m| m.pred_std),
            target_std: mean(|m| m.target_std),
            r2: mean(|m| m.r2),
            terms: names.map(|(i, (name, _))| (*name, term(i))).collect(),
        }
    }
}

fn read_terms(output: &StepOutput) -> Result<Vec<(&'static str, f64)>> {
    let read = |(name, term): &(&'static str, Tensor)| Ok((*name, f64::from(term.to_scalar::<f32>()?)));
    output.terms.iter().map(read).collect()
}

/// Standard deviation of every channel over the rows, mean over the channels.
fn channel_std(values: &[f32], width: usize) -> f64 {
    let (mut sums, mut squares) = (vec![0.0f64; width], vec![0.0f64; width]);
    for row in values.chunks_exact(width) {
        for j in 0..width {
            let x = f64::from(row[j]);
            sums[j] += x;
            squares[j] += x * x;
        }
    }
    let n = (values.len() / width).max(2) as f64;
    let std = |j: usize| ((squares[j] - sums[j] * sums[j] / n) / (n - 1.0)).max(0.0).sqrt();
    (0..width).map(std).sum::<f64>() / width as f64
}
