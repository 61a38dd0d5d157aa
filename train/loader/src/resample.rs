//! Bicubic resampling of planes, with and without antialiasing, as PyTorch's `interpolate` does it.
//!
//! The two differ in more than the width of the kernel: with antialiasing the cubic has a = -0.5 and weights at the
//! border are renormalised (Pillow's way), without it a = -0.75 and the border is repeated. Position embeddings of
//! timm models need the first, those of DINOv2 the second; images are always antialiased.

/// Which of PyTorch's two bicubic kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bicubic {
    /// `antialias=True`: nothing of a finer grid is skipped.
    Antialias,
    /// `antialias=False`: four taps, whatever the scale.
    FourTaps,
}

/// Sources of one output: index and weight.
type Taps = Vec<(usize, f64)>;

/// Sources and scale along one axis: `scale` source pixels an output pixel.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    /// Source pixels.
    pub from: usize,
    /// Output pixels.
    pub to: usize,
    /// Source pixels an output pixel.
    pub scale: f64,
}

impl Axis {
    /// The scale that maps the whole source onto the whole output.
    pub fn whole(from: usize, to: usize) -> Self {
        Self { from, to, scale: from as f64 / to as f64 }
    }

    fn taps(self, kernel: Bicubic) -> Vec<Taps> {
        let one = match kernel {
            Bicubic::Antialias => Self::wide_taps,
            Bicubic::FourTaps => Self::four_taps,
        };
        (0..self.to).map(|i| one(self, i)).collect()
    }

    /// All sources within two (scaled) pixels, weights summing to 1.
    fn wide_taps(self, i: usize) -> Taps {
        let stretch = self.scale.max(1.0);
        let center = self.scale * (i as f64 + 0.5);
        let first = ((center - 2.0 * stretch + 0.5) as i64).max(0) as usize;
        let end = ((center + 2.0 * stretch + 0.5) as usize).min(self.from);
        let weight = |j: usize| cubic((j as f64 - center + 0.5) / stretch, -0.5);
        let total: f64 = (first..end).map(weight).sum();
        (first..end).map(|j| (j, weight(j) / total)).collect()
    }

    /// The four nearest sources; beyond the border stands its own pixel.
    fn four_taps(self, i: usize) -> Taps {
        let at = self.scale * (i as f64 + 0.5) - 0.5;
        let base = at.floor();
        let tap = |k: i64| {
            let j = (base as i64 + k).clamp(0, self.from as i64 - 1) as usize;
            (j, cubic(at - base - k as f64, -0.75))
        };
        (-1..3).map(tap).collect()
    }
}

/// Keys' cubic with slope parameter `a` (Keys 1981, Cubic convolution interpolation).
fn cubic(x: f64, a: f64) -> f64 {
    let x = x.abs();
    if x < 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
    } else {
        0.0
    }
}

/// Resamples planes, first along rows, then along columns.
///
/// # Shapes
/// `planes [C, H, W]` to `[C, H', W']`, where `H`, `H'` are `y.from`, `y.to` and `W`, `W'` those of `x`.
pub fn resample(planes: &[f32], y: Axis, x: Axis, kernel: Bicubic) -> Vec<f32> {
    let (columns, rows) = (x.taps(kernel), y.taps(kernel));
    let mut out = Vec::with_capacity(planes.len() / (y.from * x.from) * y.to * x.to);
    for plane in planes.chunks_exact(y.from * x.from) {
        let narrow: Vec<f64> = plane
            .chunks_exact(x.from)
            .flat_map(|row| columns.iter().map(|taps| sum(taps, |j| f64::from(row[j]))))
            .collect();
        for taps in &rows {
            out.extend((0..x.to).map(|i| sum(taps, |j| narrow[j * x.to + i]) as f32));
        }
    }
    out
}

fn sum(taps: &Taps, value: impl Fn(usize) -> f64) -> f64 {
    taps.iter().map(|&(j, weight)| weight * value(j)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_stay_and_equal_sizes_are_the_identity() {
        for kernel in [Bicubic::Antialias, Bicubic::FourTaps] {
            for (from, to) in [(5, 9), (9, 5), (37, 16), (1, 4)] {
                let out = resample(
                    &vec![0.25; 2 * from * from],
                    Axis::whole(from, to),
                    Axis::whole(from, to),
                    kernel,
                );
                assert_eq!(out.len(), 2 * to * to);
                assert!(out.iter().all(|x| (x - 0.25).abs() < 1e-6), "{from} {to}");
            }
            let plane: Vec<f32> = (0..12).map(|i| (i as f32).sin()).collect();
            assert_eq!(resample(&plane, Axis::whole(3, 3), Axis::whole(4, 4), kernel), plane);
        }
    }

    #[derive(serde::Deserialize)]
    struct Case {
        antialias: bool,
        from: [usize; 2],
        to: [usize; 2],
        scale: Option<[f64; 2]>,
        planes: Vec<f32>,
        want: Vec<f32>,
    }

    /// `train/teachers/goldens/make_goldens.py` asks `torch.nn.functional.interpolate`.
    #[test]
    fn planes_equal_those_of_pytorch() {
        let cases: Vec<Case> = serde_json::from_str(include_str!("../goldens/resample.json")).unwrap();
        for case in cases {
            let axis = |i: usize| Axis {
                scale: case.scale.map_or(case.from[i] as f64 / case.to[i] as f64, |scale| 1.0 / scale[i]),
                ..Axis::whole(case.from[i], case.to[i])
            };
            let kernel = if case.antialias { Bicubic::Antialias } else { Bicubic::FourTaps };
            let found = resample(&case.planes, axis(0), axis(1), kernel);
            let off = found.iter().zip(&case.want).fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
            assert!(
                found.len() == case.want.len() && off < 2e-5,
                "{kernel:?} {:?} {:?}: {off}",
                case.from,
                case.to
            );
        }
    }
}
