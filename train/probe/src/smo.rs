//! The dual of a two-class linear SVM with hinge loss and a free bias, solved on the Gram matrix of its samples.
//!
//! Sequential minimal optimisation with second-order choice of the pair (Fan, Chen, Lin, JMLR 6, 2005), the algorithm
//! of libsvm and so of `sklearn.svm.SVC`: the same optimum, stopping rule and bias. Dual coordinate descent in
//! LIBLINEAR's manner cannot leave the bias unpenalised; the equality constraint that a free bias brings needs steps
//! along pairs. A step costs two passes over a few hundred numbers, because one pair of classes has few samples and its
//! Gram matrix stays in cache.
//!
//! Written in signed multipliers `beta_i = y_i alpha_i` and `residual_i = y_i - sum_j K_ij beta_j`: minimise
//! `beta K beta / 2 - y beta` with `sum beta = 0`, `0 <= beta <= C` for the first class (`y = 1`) and
//! `-C <= beta <= 0` for the second.

use pulp::Arch;

/// Numbers of a row of the Gram matrix are padded to a multiple of this.
pub(crate) const LANES: usize = 16;
/// The optimum is reached when no pair violates it by more (libsvm's and sklearn's `tol`).
const TOLERANCE: f64 = 1e-3;
/// Curvature used where a pair of samples coincides (libsvm's `TAU`).
const LEAST_CURVATURE: f32 = 1e-12;

/// A Gram matrix of the samples of two classes, those of the first class first.
pub(crate) struct PairGram {
    /// Products `[n, step]`; columns from `n` on are 0.
    pub values: Vec<f32>,
    /// Samples of both classes.
    pub n: usize,
    /// Samples of the first class.
    pub first: usize,
    /// Length of a row: `n` rounded up to a multiple of [`LANES`].
    pub step: usize,
}

impl PairGram {
    fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.step..(i + 1) * self.step]
    }

    fn label(&self, i: usize) -> f64 {
        if i < self.first { 1.0 } else { -1.0 }
    }

    /// The least value of a multiplier.
    fn low(&self, i: usize, c: f64) -> f64 {
        if i < self.first { 0.0 } else { -c }
    }

    /// The largest value of a multiplier.
    fn high(&self, i: usize, c: f64) -> f64 {
        if i < self.first { c } else { 0.0 }
    }
}

/// The optimum of one pair of classes.
#[derive(Clone, Debug)]
pub(crate) struct PairSolution {
    /// Signed multipliers `[n]`.
    pub beta: Vec<f64>,
    /// Bias: the decision is `w x + bias`, positive for the first class.
    pub bias: f64,
    /// Value of the dual, which is minimised (libsvm's `obj`).
    pub objective: f64,
    /// Whether [`TOLERANCE`] was reached.
    pub has_converged: bool,
}

struct PairSolver<'a> {
    gram: &'a PairGram,
    c: f64,
    beta: Vec<f64>,
    residual: Vec<f32>,
    diagonal: Vec<f32>,
    /// 0 where `beta` may grow, else minus infinity.
    can_grow: Vec<f32>,
    /// 0 where `beta` may shrink, else plus infinity.
    can_shrink: Vec<f32>,
}

/// Solves for the bound `c`, from `start` (multipliers that satisfy the constraints for `c`) or from 0.
pub(crate) fn solve(gram: &PairGram, c: f64, start: Option<Vec<f64>>) -> PairSolution {
    let arch = Arch::new();
    arch.dispatch(
        #[inline(always)]
        || solve_here(gram, c, start),
    )
}

#[inline(always)]
fn solve_here(gram: &PairGram, c: f64, start: Option<Vec<f64>>) -> PairSolution {
    let mut solver = PairSolver::new(gram, c, start.unwrap_or_else(|| vec![0.0; gram.n]));
    // libsvm's bound is ten million; features of unit variance need some thousands.
    let most_steps = 100_000 + 200 * gram.n;
    let (mut steps, mut refreshes, mut has_converged) = (0, 0, false);
    while steps < most_steps {
        steps += 1;
        let Some((i, j)) = solver.choose() else {
            // The running residuals are single precision: stop only on exact ones.
            solver.refresh();
            refreshes += 1;
            has_converged = solver.violation() < TOLERANCE;
            if has_converged || refreshes > 20 {
                break;
            }
            continue;
        };
        solver.step(i, j);
    }
    solver.finish(has_converged)
}

impl<'a> PairSolver<'a> {
    #[inline(always)]
    fn new(gram: &'a PairGram, c: f64, beta: Vec<f64>) -> Self {
        let room = gram.step;
        let mut diagonal = vec![0.0; room];
        for i in 0..gram.n {
            diagonal[i] = gram.row(i)[i];
        }
        let mut solver = Self {
            gram,
            c,
            beta,
            residual: vec![0.0; room],
            diagonal,
            can_grow: vec![f32::NEG_INFINITY; room],
            can_shrink: vec![f32::INFINITY; room],
        };
        (0..gram.n).for_each(|i| solver.mark(i));
        solver.refresh();
        solver
    }

    /// Notes in which directions a multiplier may move.
    #[inline(always)]
    fn mark(&mut self, i: usize) {
        let (low, high) = (self.gram.low(i, self.c), self.gram.high(i, self.c));
        self.can_grow[i] = if self.beta[i] < high { 0.0 } else { f32::NEG_INFINITY };
        self.can_shrink[i] = if self.beta[i] > low { 0.0 } else { f32::INFINITY };
    }

    /// Computes the residuals anew, in double precision.
    #[inline(always)]
    fn refresh(&mut self) {
        let mut exact = vec![0.0f64; self.gram.step];
        (0..self.gram.n).for_each(|i| exact[i] = self.gram.label(i));
        for j in (0..self.gram.n).filter(|&j| self.beta[j] != 0.0) {
            let beta = self.beta[j];
            for (sum, &k) in exact.iter_mut().zip(self.gram.row(j)) {
                *sum -= beta * f64::from(k);
            }
        }
        self.residual.iter_mut().zip(exact).for_each(|(to, from)| *to = from as f32);
    }

    /// How far the constraints of optimality are violated.
    #[inline(always)]
    fn violation(&self) -> f64 {
        let up = self.residual.iter().zip(&self.can_grow).map(|(r, m)| r + m);
        let low = self.residual.iter().zip(&self.can_shrink).map(|(r, m)| r + m);
        f64::from(up.fold(f32::NEG_INFINITY, f32::max)) - f64::from(low.fold(f32::INFINITY, f32::min))
    }

    /// The pair to move, the first up and the second down; `None` at the optimum.
    #[inline(always)]
    fn choose(&self) -> Option<(usize, usize)> {
        let mut most = LaneMaxima::none();
        for at in (0..self.residual.len()).step_by(LANES) {
            let (residual, grow) = (lanes(&self.residual, at), lanes(&self.can_grow, at));
            let mut value = [0.0; LANES];
            for l in 0..LANES {
                value[l] = residual[l] + grow[l];
            }
            most.take(&value, at);
        }
        let (i, up) = most.first();
        if up == f32::NEG_INFINITY {
            return None;
        }
        let (row, own) = (self.gram.row(i), self.diagonal[i]);
        let (mut gain_of, mut widest) = (LaneMaxima::none(), [f32::NEG_INFINITY; LANES]);
        for at in (0..row.len()).step_by(LANES) {
            let (residual, shrink) = (lanes(&self.residual, at), lanes(&self.can_shrink, at));
            let (k, diagonal) = (lanes(row, at), lanes(&self.diagonal, at));
            let mut gain = [0.0; LANES];
            for l in 0..LANES {
                let gap = up - (residual[l] + shrink[l]);
                let curvature = (own + diagonal[l] - 2.0 * k[l]).max(LEAST_CURVATURE);
                let square = gap * gap / curvature;
                gain[l] = if gap > 0.0 { square } else { f32::NEG_INFINITY };
                widest[l] = if gap > widest[l] { gap } else { widest[l] };
            }
            gain_of.take(&gain, at);
        }
        let widest = widest.into_iter().fold(f32::NEG_INFINITY, f32::max);
        (f64::from(widest) >= TOLERANCE).then(|| (i, gain_of.first().0))
    }

    /// Moves `beta_i` up and `beta_j` down by the same amount, to the optimum along that line or to a bound.
    #[inline(always)]
    fn step(&mut self, i: usize, j: usize) {
        let (row_i, row_j) = (self.gram.row(i), self.gram.row(j));
        let curvature = (self.diagonal[i] + self.diagonal[j] - 2.0 * row_i[j]).max(LEAST_CURVATURE);
        let wanted = f64::from(self.residual[i] - self.residual[j]) / f64::from(curvature);
        let (high, low) = (self.gram.high(i, self.c), self.gram.low(j, self.c));
        let (room_i, room_j) = (high - self.beta[i], self.beta[j] - low);
        let delta = wanted.min(room_i).min(room_j);
        self.beta[i] = if delta == room_i { high } else { self.beta[i] + delta };
        self.beta[j] = if delta == room_j { low } else { self.beta[j] - delta };
        self.mark(i);
        self.mark(j);
        let delta = delta as f32;
        for at in (0..row_i.len()).step_by(LANES) {
            let (a, b) = (lanes(row_i, at), lanes(row_j, at));
            let residual: &mut [f32; LANES] =
                (&mut self.residual[at..at + LANES]).try_into().expect("rows are padded to lanes");
            for l in 0..LANES {
                residual[l] -= delta * (a[l] - b[l]);
            }
        }
    }

    /// Bias and objective as libsvm defines them.
    #[inline(always)]
    fn finish(mut self, has_converged: bool) -> PairSolution {
        self.refresh();
        let (mut sum, mut free) = (0.0, 0usize);
        let (mut up, mut low) = (f64::NEG_INFINITY, f64::INFINITY);
        let mut objective = 0.0;
        for i in 0..self.gram.n {
            let residual = f64::from(self.residual[i]);
            objective -= 0.5 * self.beta[i] * (residual + self.gram.label(i));
            match (self.can_grow[i] == 0.0, self.can_shrink[i] == 0.0) {
                (true, true) => (sum, free) = (sum + residual, free + 1),
                (true, false) => up = up.max(residual),
                _ => low = low.min(residual),
            }
        }
        let bias = if free > 0 { sum / free as f64 } else { 0.5 * (up + low) };
        PairSolution { beta: self.beta, bias, objective, has_converged }
    }
}

/// The largest value seen so far in each lane, and where.
struct LaneMaxima {
    value: [f32; LANES],
    index: [u32; LANES],
}

impl LaneMaxima {
    #[inline(always)]
    fn none() -> Self {
        Self { value: [f32::NEG_INFINITY; LANES], index: [0; LANES] }
    }

    #[inline(always)]
    fn take(&mut self, value: &[f32; LANES], at: usize) {
        for l in 0..LANES {
            let is_more = value[l] > self.value[l];
            self.value[l] = if is_more { value[l] } else { self.value[l] };
            self.index[l] = if is_more { (at + l) as u32 } else { self.index[l] };
        }
    }

    /// The largest of all lanes, ties to the lowest index.
    #[inline(always)]
    fn first(&self) -> (usize, f32) {
        let value = self.value.into_iter().fold(f32::NEG_INFINITY, f32::max);
        let ties = (0..LANES).filter(|&l| self.value[l] == value).map(|l| self.index[l]);
        (ties.min().unwrap_or(0) as usize, value)
    }
}

#[inline(always)]
fn lanes(values: &[f32], at: usize) -> &[f32; LANES] {
    values[at..at + LANES].try_into().expect("rows are padded to lanes")
}
