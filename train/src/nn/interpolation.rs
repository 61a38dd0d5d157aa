//! Features of tokens at points: weighted means over the three nearest centers (PointNet++, Qi et al. 2017, section 3.4).
//!
//! Weights are `1 / (squared distance + epsilon)`, normalised. On the CPU an operation of its own gathers forward and scatters
//! backward; elsewhere candle's gathering does.

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, bail};
use rayon::prelude::*;

use crate::error::Result;

/// Centers that a point's features are a mean of.
const NEAREST: usize = 3;

/// Added to squared distances (the smallest step of f32 at 1, as the official code has it).
const EPSILON: f32 = f32::EPSILON;

/// For every point the rows of its nearest centers among all tokens of the batch, and their weights.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PointNeighbors {
    /// `[P, 3]`.
    rows: Vec<u32>,
    /// `[P, 3]`, summing to 1.
    weights: Vec<f32>,
    /// Tokens of the batch.
    tokens: usize,
}

impl PointNeighbors {
    /// Finds them: ties go to the first center; a cloud of fewer than three centers repeats its last.
    ///
    /// # Shapes
    /// `points [P, 3]`, sample by sample up to `ends [B]`; `centers [B, G, 3]`.
    pub(crate) fn find(points: &[f32], ends: &[usize], centers: &[f32]) -> Self {
        let groups = centers.len() / 3 / ends.len().max(1);
        let points = points.as_chunks::<3>().0;
        let mut sample_of = Vec::with_capacity(points.len());
        for (sample, &end) in ends.iter().enumerate() {
            sample_of.resize(end, sample);
        }
        let centers = centers.as_chunks::<3>().0;
        let nearest = |(point, &sample): (&[f32; 3], &usize)| {
            let own = &centers[sample * groups..(sample + 1) * groups];
            find_three(point, own).map(|(at, square)| ((sample * groups + at) as u32, square))
        };
        let all: Vec<[(u32, f32); NEAREST]> = points.par_iter().zip(&sample_of).map(nearest).collect();
        let weights = all.iter().flat_map(|three| {
            let shares = three.map(|(_, square)| 1.0 / (square + EPSILON));
            let total: f32 = shares.iter().sum();
            shares.map(|share| share / total)
        });
        let weights = weights.collect();
        let rows = all.iter().flat_map(|three| three.map(|(row, _)| row)).collect();
        Self { rows, weights, tokens: sample_of.last().map_or(0, |_| centers.len()) }
    }

    /// Points `P`.
    pub(crate) fn len(&self) -> usize {
        self.rows.len() / NEAREST
    }

    /// The weighted means.
    ///
    /// # Shapes
    /// `tokens [B G, D]` to `[P, D]`.
    pub(crate) fn interpolate(&self, tokens: &Tensor) -> Result<Tensor> {
        let (count, width) = tokens.dims2()?;
        assert_eq!(count, self.tokens, "the tokens of the centers that were looked at");
        if tokens.device().is_cpu() {
            return Ok(tokens.contiguous()?.apply_op1(Gathering(self.clone()))?);
        }
        let rows = Tensor::from_slice(&self.rows, self.rows.len(), tokens.device())?;
        let weights = Tensor::from_slice(&self.weights, (self.len(), NEAREST, 1), tokens.device())?;
        let near = tokens.index_select(&rows, 0)?.reshape((self.len(), NEAREST, width))?;
        Ok(near.broadcast_mul(&weights)?.sum(1)?)
    }

    /// Sums over neighbours, row by row.
    fn gather(&self, tokens: &[f32], width: usize) -> Vec<f32> {
        let mut out = vec![0.0; self.len() * width];
        let places = self.rows.par_chunks(NEAREST).zip(self.weights.par_chunks(NEAREST));
        out.par_chunks_mut(width).zip(places).for_each(|(out, (rows, weights))| {
            for (&row, &weight) in rows.iter().zip(weights) {
                let token = &tokens[row as usize * width..][..width];
                out.iter_mut().zip(token).for_each(|(sum, x)| *sum += weight * x);
            }
        });
        out
    }

    /// The transpose of [`PointNeighbors::gather`], the points of a token in their order whatever the threads.
    fn scatter(&self, gradient: &[f32], width: usize) -> Vec<f32> {
        let mut starts = vec![0usize; self.tokens + 1];
        self.rows.iter().for_each(|&row| starts[row as usize + 1] += 1);
        (0..self.tokens).for_each(|row| starts[row + 1] += starts[row]);
        let (mut next, mut users) = (starts.clone(), vec![0usize; self.rows.len()]);
        for (at, &row) in self.rows.iter().enumerate() {
            users[next[row as usize]] = at;
            next[row as usize] += 1;
        }
        let mut out = vec![0.0; self.tokens * width];
        out.par_chunks_mut(width).enumerate().for_each(|(row, out)| {
            for &at in &users[starts[row]..starts[row + 1]] {
                let (weight, from) = (self.weights[at], &gradient[at / NEAREST * width..][..width]);
                out.iter_mut().zip(from).for_each(|(sum, x)| *sum += weight * x);
            }
        });
        out
    }
}

/// The three nearest centers with squared distances, nearest first.
fn find_three(point: &[f32; 3], centers: &[[f32; 3]]) -> [(usize, f32); NEAREST] {
    let mut best = [(0, f32::INFINITY); NEAREST];
    for (at, center) in centers.iter().enumerate() {
        let [x, y, z] = [0, 1, 2].map(|axis| point[axis] - center[axis]);
        let square = (x * x + y * y) + z * z;
        // A later center must be nearer to come before an earlier one.
        if let Some(place) = best.iter().position(|&(_, known)| square < known) {
            best[place..].rotate_right(1);
            best[place] = (at, square);
        }
    }
    for place in 1..NEAREST {
        if best[place].1 == f32::INFINITY {
            best[place] = best[place - 1];
        }
    }
    best
}

/// [`PointNeighbors::interpolate`] on the CPU.
struct Gathering(PointNeighbors);

impl CustomOp1 for Gathering {
    fn name(&self) -> &'static str {
        "interpolation"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (CpuStorage::F32(values), Some((start, end))) = (storage, layout.contiguous_offsets()) else {
            bail!("interpolation: expected contiguous f32, found {:?}", layout.shape())
        };
        let width = layout.dims()[1];
        let out = self.0.gather(&values[start..end], width);
        Ok((CpuStorage::F32(out), Shape::from((self.0.len(), width))))
    }

    fn bwd(&self, tokens: &Tensor, _: &Tensor, gradient: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let values = gradient.flatten_all()?.to_vec1::<f32>()?;
        let out = self.0.scatter(&values, tokens.dim(1)?);
        Ok(Some(Tensor::from_vec(out, tokens.shape(), tokens.device())?))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};
    use jepa3d_schemas::Draws;

    use super::*;

    const GROUPS: usize = 7;

    fn drawn(count: usize, name: &str) -> Vec<f32> {
        let mut draws = Draws::new(0, name, "interpolation");
        (0..count).map(|_| draws.range(-1.0, 1.0) as f32).collect()
    }

    #[test]
    fn neighbours_are_the_three_nearest_of_the_own_sample() {
        let (mut points, centers) = (drawn(3 * 50, "points"), drawn(2 * GROUPS * 3, "centers"));
        points[..3].copy_from_slice(&centers[3 * 4..3 * 5]);
        let ends = [20, 50];
        let found = PointNeighbors::find(&points, &ends, &centers);
        for p in 0..50 {
            let sample = usize::from(p >= 20);
            let square = |g: usize| -> f32 {
                (0..3).map(|a| (points[3 * p + a] - centers[3 * (sample * GROUPS + g) + a]).powi(2)).sum()
            };
            let mut order: Vec<usize> = (0..GROUPS).collect();
            order.sort_by(|&a, &b| square(a).total_cmp(&square(b)));
            let total: f32 = order[..3].iter().map(|&g| 1.0 / (square(g) + EPSILON)).sum();
            for (k, &g) in order[..3].iter().enumerate() {
                assert_eq!(found.rows[3 * p + k] as usize, sample * GROUPS + g);
                assert!((found.weights[3 * p + k] - 1.0 / (square(g) + EPSILON) / total).abs() < 1e-5);
            }
        }
        assert!(found.weights[0] > 0.999, "a point on a center has its features");
        let few = PointNeighbors::find(&points[..6], &[2], &centers[..6]);
        assert!(few.rows.iter().all(|&row| row < 2) && few.weights.iter().all(|w| w.is_finite()));
    }

    #[test]
    fn forward_and_backward_are_those_of_gathering_by_candle() {
        let (points, centers) = (drawn(3 * 40, "points"), drawn(2 * GROUPS * 3, "centers"));
        let near = PointNeighbors::find(&points, &[15, 40], &centers);
        let tokens = Var::from_vec(drawn(2 * GROUPS * 5, "tokens"), (2 * GROUPS, 5), &Device::Cpu).unwrap();
        let scale = Tensor::from_vec(drawn(40 * 5, "scale"), (40, 5), &Device::Cpu).unwrap();
        let rows = Tensor::from_slice(&near.rows, near.rows.len(), &Device::Cpu).unwrap();
        let weights = Tensor::from_slice(&near.weights, (40, 3, 1), &Device::Cpu).unwrap();
        let picked = tokens.as_tensor().index_select(&rows, 0).unwrap().reshape((40, 3, 5)).unwrap();
        let twin = picked.broadcast_mul(&weights).unwrap().sum(1).unwrap();
        let own = near.interpolate(tokens.as_tensor()).unwrap();
        let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let close =
            |a: &Tensor, b: &Tensor| values(a).iter().zip(values(b)).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(close(&own, &twin));
        let gradient = |out: &Tensor| {
            let loss = (out * &scale).unwrap().sum_all().unwrap();
            loss.backward().unwrap().get(tokens.as_tensor()).unwrap().clone()
        };
        assert!(close(&gradient(&own), &gradient(&twin)));
    }
}
