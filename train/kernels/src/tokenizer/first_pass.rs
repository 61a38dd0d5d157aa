//! Pass 1 of forward: maxima, sums and Gram matrix of the first layer's output, block by block.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::activations::{add, add_wide, first_layer, sum_chunks};
use super::aligned::AlignedBuffer;
use super::bf16_passes::{Bf16Pass, PatchMaxima};
use super::cut::Cut;
use super::prepared::Local;
use super::tile::{ActivationRows, Largest, add_transposed, max_over_patches};

/// Results of pass 1.
pub(crate) struct FirstPass {
    /// [P, c2]: maximum of `local` over the patch, and the point that has it.
    pub(crate) summary: AlignedBuffer,
    pub(crate) summary_point: Vec<u16>,
    /// [P, c1]: sum of the first layer's output over the patch.
    pub(crate) sums: AlignedBuffer,
    /// [c1, c1], the upper triangle of the output's Gram matrix; zeros unless asked for.
    pub(crate) gram: Vec<f64>,
}

/// What pass 1 runs on and finds.
#[derive(Clone, Copy)]
pub(crate) struct FirstPassPlan<'a> {
    pub(crate) cut: Cut,
    pub(crate) local: &'a Local,
    /// Whether the Gram matrix is asked for.
    pub(crate) with_gram: bool,
}

/// Runs the pass; `wide`, if there is one, finds the maxima.
pub(crate) fn run_first_pass(
    patches: &[f32],
    wide: Option<&Bf16Pass<'_>>,
    plan: FirstPassPlan<'_>,
) -> FirstPass {
    let FirstPassPlan { cut, local, with_gram } = plan;
    let width = local.width;
    let mut summary = AlignedBuffer::zeros(cut.patches * width.c2);
    let mut summary_point = vec![0u16; cut.patches * width.c2];
    let mut sums = AlignedBuffer::zeros(cut.patches * width.c1);
    if let Some(wide) = wide {
        wide.find_summaries(patches, PatchMaxima { value: &mut summary, point: &mut summary_point });
    }
    let grams: Vec<Vec<f64>> = patches
        .par_chunks(cut.chunk * cut.k * 3)
        .zip(summary.par_chunks_mut(cut.chunk * width.c2))
        .zip(summary_point.par_chunks_mut(cut.chunk * width.c2))
        .zip(sums.par_chunks_mut(cut.chunk * width.c1))
        .map(|(((points, value), point), sums)| {
            let largest = wide.is_none().then_some(Largest { value, point, bias: &local.lift_bias });
            Arch::new().dispatch(FirstPassTask { cut, local, points, largest, sums, with_gram })
        })
        .collect();
    FirstPass { summary, summary_point, sums, gram: sum_chunks(&grams, width.c1 * width.c1) }
}

/// Pass 1 over a chunk; its Gram matrix.
struct FirstPassTask<'a> {
    cut: Cut,
    local: &'a Local,
    points: &'a [f32],
    /// `None`: the maxima are found elsewhere.
    largest: Option<Largest<'a>>,
    sums: &'a mut [f32],
    with_gram: bool,
}

impl WithSimd for FirstPassTask<'_> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f64> {
        let (width, k, block) = (self.local.width, self.cut.k, self.cut.block);
        let mut first = AlignedBuffer::zeros(block * k * width.c1);
        let mut gram = AlignedBuffer::zeros(width.c1 * width.c1);
        let mut total = vec![0.0; width.c1 * width.c1];
        let mut largest = self.largest;
        let blocks = self.points.chunks(block * k * 3).zip(self.sums.chunks_mut(block * width.c1));
        for (number, (points, sums)) in blocks.enumerate() {
            let n = points.len() / 3;
            first_layer(simd, points, &self.local.first, &mut first);
            for (sum, rows) in sums.chunks_exact_mut(width.c1).zip(first.chunks_exact(k * width.c1)) {
                rows.chunks_exact(width.c1).for_each(|row| add(simd, row, sum));
            }
            if let Some(largest) = &mut largest {
                let rows = ActivationRows { data: &first, stride: width.c1 };
                let part = number * block * width.c2..(number * block + n / k) * width.c2;
                let (value, point) = (&mut largest.value[part.clone()], &mut largest.point[part]);
                let into = Largest { value, point, bias: largest.bias };
                max_over_patches(simd, rows, k, &self.local.lift, into);
            }
            if self.with_gram {
                gram.fill(0.0);
                let rows = ActivationRows { data: &first[..n * width.c1], stride: width.c1 };
                add_transposed(simd, rows, rows, &mut gram, true);
                add_wide(&gram, &mut total);
            }
        }
        total
    }
}
