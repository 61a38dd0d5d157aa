//! A fixed matrix with orthonormal columns: the same on every machine, from a constant seed.

use jepa3d_schemas::{Draws, source_hash};

/// Stored as f32, computed in f64.
#[derive(Clone, Debug)]
pub(crate) struct OrthonormalMatrix {
    inputs: usize,
    width: usize,
    /// `[inputs, width]`
    values: Vec<f32>,
}

impl OrthonormalMatrix {
    /// The Q of the QR decomposition of a Gaussian matrix, R's diagonal positive. With more columns than `inputs` rows
    /// are added, as for an input padded with zeros, and dropped again.
    pub(crate) fn new(inputs: usize, width: usize) -> Self {
        let rows = inputs.max(width);
        let mut draws = Draws::new(0, "hog", "projection");
        // One column after the other.
        let mut columns: Vec<Vec<f64>> =
            (0..width).map(|_| (0..rows).map(|_| draws.normal()).collect()).collect();
        orthonormalise(&mut columns);
        let mut values = vec![0.0; inputs * width];
        for (j, column) in columns.iter().enumerate() {
            for i in 0..inputs {
                values[i * width + j] = column[i] as f32;
            }
        }
        Self { inputs, width, values }
    }

    /// Hash of its numbers.
    pub(crate) fn hash(&self) -> String {
        let bytes: Vec<u8> = self.values.iter().flat_map(|v| v.to_le_bytes()).collect();
        source_hash(&[&bytes])
    }

    /// `x` times the matrix, summed in f64 in a fixed order.
    ///
    /// # Shapes
    /// `x [inputs]` to `[width]`.
    pub(crate) fn apply(&self, x: &[f64]) -> Vec<f32> {
        assert_eq!(x.len(), self.inputs, "the projection's inputs");
        let mut out = vec![0.0f64; self.width];
        for (&x, row) in x.iter().zip(self.values.chunks_exact(self.width)) {
            for (out, &value) in out.iter_mut().zip(row) {
                *out += x * f64::from(value);
            }
        }
        out.into_iter().map(|v| v as f32).collect()
    }
}

/// Gram-Schmidt, twice (Giraud et al. 2005: then orthogonal to working precision). What is left of a column is
/// divided by its positive length, which is R's diagonal.
fn orthonormalise(columns: &mut [Vec<f64>]) {
    for j in 0..columns.len() {
        let (done, rest) = columns.split_at_mut(j);
        let column = &mut rest[0];
        for _ in 0..2 {
            for other in done.iter() {
                let along = dot(column, other);
                column.iter_mut().zip(other).for_each(|(x, y)| *x -= along * y);
            }
        }
        let length = dot(column, column).sqrt();
        column.iter_mut().for_each(|x| *x /= length);
    }
}

/// In eight sums, so that it need not wait for each addition; their order is part of the result.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    for (a, b) in a.chunks(8).zip(b.chunks(8)) {
        for (sum, (x, y)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += x * y;
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_orthonormal() {
        for (inputs, width) in [(40, 17), (24, 24)] {
            let p = OrthonormalMatrix::new(inputs, width);
            let column = |j: usize| (0..inputs).map(move |i| (i, j));
            let at = |(i, j): (usize, usize)| f64::from(p.values[i * width + j]);
            for a in 0..width {
                for b in 0..width {
                    let product: f64 = column(a).zip(column(b)).map(|(x, y)| at(x) * at(y)).sum();
                    assert!((product - f64::from(u8::from(a == b))).abs() < 1e-6, "{a} {b}: {product}");
                }
            }
        }
    }

    #[test]
    fn padding_keeps_lengths_and_angles() {
        let p = OrthonormalMatrix::new(5, 9);
        let x = [0.3, -1.0, 0.0, 2.0, 0.5];
        let length = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>();
        let (before, after) =
            (length(&mut x.into_iter()), length(&mut p.apply(&x).into_iter().map(f64::from)));
        assert!((before - after).abs() < 1e-6);
    }
}
