//! The steps of t-SNE: how likely samples are neighbours, and the descent that lays them out alike in a plane.

use pulp::Arch;
use rayon::prelude::*;

/// Steps in which neighbours attract each other more than they should, so that groups find together.
const EARLY_STEPS: usize = 250;
/// How much more.
const EXAGGERATION: f64 = 12.0;
/// Steps after that.
const LATE_STEPS: usize = 750;
/// Halvings of the interval in which the width of a neighbourhood lies.
const HALVINGS: usize = 100;
/// How near the entropy of a neighbourhood has to come to what is asked.
const TOLERANCE: f64 = 1e-5;
/// Pairs summed side by side: the order of sums, and with it their bits, do not depend on the processor.
const LANES: usize = 8;

/// Places of samples, coordinate by coordinate.
#[derive(Clone, Debug, Default)]
pub(crate) struct PlaneLayout {
    pub(crate) x: Vec<f64>,
    pub(crate) y: Vec<f64>,
}

/// How likely each pair of samples are neighbours: symmetric, `[n,n]`, in all 1.
pub(crate) struct NeighborOdds {
    odds: Vec<f64>,
    n: usize,
}

/// How one part of the descent goes.
#[derive(Clone, Copy)]
struct Descent {
    steps: usize,
    exaggeration: f64,
    momentum: f64,
    rate: f64,
}

/// What all others do to one sample.
#[derive(Clone, Copy, Default)]
struct Forces {
    attraction: [f64; 2],
    repulsion: [f64; 2],
    /// Sum of `1 / (1 + squared distance)` over the others.
    total: f64,
}

impl NeighborOdds {
    /// Of squared distances `[n,n]`: around every sample a Gaussian as wide as gives its neighbourhood this perplexity.
    pub(crate) fn new(distances: &[f64], n: usize, perplexity: f64) -> Self {
        let mut near = distances.to_vec();
        near.par_chunks_mut(n).enumerate().for_each(|(i, row)| spread_odds(row, i, perplexity.ln()));
        let total: f64 = near.iter().sum::<f64>() * 2.0;
        let mut odds = vec![0.0; n * n];
        odds.par_chunks_mut(n).enumerate().for_each(|(i, row)| {
            for (j, value) in row.iter_mut().enumerate().filter(|&(j, _)| j != i) {
                *value = ((near[i * n + j] + near[j * n + i]) / total).max(f64::EPSILON);
            }
        });
        Self { odds, n }
    }

    /// Lays samples out so that they are as likely neighbours in the plane, by gradient descent from `start`.
    pub(crate) fn lay_out(&self, start: PlaneLayout) -> PlaneLayout {
        let rate = (self.n as f64 / EXAGGERATION / 4.0).max(50.0);
        let early = Descent { steps: EARLY_STEPS, exaggeration: EXAGGERATION, momentum: 0.5, rate };
        let late = Descent { steps: LATE_STEPS, exaggeration: 1.0, momentum: 0.8, rate };
        self.descend(self.descend(start, early), late)
    }

    /// Steps with momentum, each coordinate at a rate that grows while it keeps its direction.
    fn descend(&self, mut places: PlaneLayout, descent: Descent) -> PlaneLayout {
        let Descent { steps, exaggeration, momentum, rate } = descent;
        let mut updates = vec![0.0f64; 2 * self.n];
        let mut gains = vec![1.0f64; 2 * self.n];
        for _ in 0..steps {
            let gradient = self.gradient(&places, exaggeration);
            let coordinates = places.x.iter_mut().chain(&mut places.y);
            let state = updates.iter_mut().zip(&mut gains);
            for ((place, slope), (update, gain)) in coordinates.zip(gradient).zip(state) {
                *gain = if *update * slope < 0.0 { *gain + 0.2 } else { *gain * 0.8 }.max(0.01);
                *update = momentum * *update - rate * *gain * slope;
                *place += *update;
            }
        }
        places
    }

    /// Gradient of the divergence, `x` of all samples, then `y`.
    fn gradient(&self, places: &PlaneLayout, exaggeration: f64) -> Vec<f64> {
        let forces = self.forces(places);
        let total: f64 = forces.iter().map(|forces| forces.total).sum();
        let slope = |axis: usize| {
            forces.iter().map(move |forces| {
                4.0 * (exaggeration * forces.attraction[axis] - forces.repulsion[axis] / total)
            })
        };
        slope(0).chain(slope(1)).collect()
    }

    fn forces(&self, places: &PlaneLayout) -> Vec<Forces> {
        let arch = Arch::new();
        let rows = self.odds.par_chunks(self.n).enumerate();
        rows.map(|(i, odds)| {
            arch.dispatch(
                #[inline(always)]
                || sum_forces(odds, places, i),
            )
        })
        .collect()
    }

    /// Kullback-Leibler divergence of a layout's neighbourhoods from these.
    pub(crate) fn divergence(&self, places: &PlaneLayout) -> f64 {
        let total: f64 = self.forces(places).iter().map(|forces| forces.total).sum();
        let rows: Vec<f64> = (0..self.n)
            .into_par_iter()
            .map(|i| {
                let others = (0..self.n).filter(|&j| j != i);
                others
                    .map(|j| {
                        let (odds, nearness) = (self.odds[i * self.n + j], nearness(places, i, j) / total);
                        odds * (odds / nearness.max(f64::EPSILON)).ln()
                    })
                    .sum()
            })
            .collect();
        rows.iter().sum()
    }
}

fn nearness(places: &PlaneLayout, i: usize, j: usize) -> f64 {
    let (dx, dy) = (places.x[i] - places.x[j], places.y[i] - places.y[j]);
    1.0 / (1.0 + (dx * dx + dy * dy))
}

/// Turns squared distances of sample `own` into the odds that it picks each other one as a neighbour, with this entropy.
fn spread_odds(row: &mut [f64], own: usize, entropy: f64) {
    let (mut low, mut high, mut sharpness) = (f64::NEG_INFINITY, f64::INFINITY, 1.0);
    let distances = row.to_vec();
    for _ in 0..HALVINGS {
        for (odds, &distance) in row.iter_mut().zip(&distances) {
            *odds = (-distance * sharpness).exp();
        }
        row[own] = 0.0;
        // Where all underflow, the neighbourhood is too narrow.
        let total = Some(row.iter().sum::<f64>()).filter(|&total| total > 0.0).unwrap_or(1e-8);
        let spread: f64 = row.iter().zip(&distances).map(|(odds, distance)| odds * distance).sum();
        let surplus = total.ln() + sharpness * spread / total - entropy;
        row.iter_mut().for_each(|odds| *odds /= total);
        if surplus.abs() <= TOLERANCE {
            break;
        }
        if surplus > 0.0 {
            low = sharpness;
            sharpness = if high.is_finite() { (sharpness + high) / 2.0 } else { sharpness * 2.0 };
        } else {
            high = sharpness;
            sharpness = if low.is_finite() { (sharpness + low) / 2.0 } else { sharpness / 2.0 };
        }
    }
}

/// Sums over all others, whose row of odds this is.
#[inline(always)]
fn sum_forces(odds: &[f64], places: &PlaneLayout, own: usize) -> Forces {
    let (own_x, own_y) = (places.x[own], places.y[own]);
    let mut sums = LaneForces::default();
    let (odds, odds_rest) = odds.as_chunks::<LANES>();
    let (x, x_rest) = places.x.as_chunks::<LANES>();
    let (y, y_rest) = places.y.as_chunks::<LANES>();
    for ((odds, x), y) in odds.iter().zip(x).zip(y) {
        sums.add(odds, &x.map(|x| own_x - x), &y.map(|y| own_y - y));
    }
    // The last row is filled up by what lies where the sample itself does.
    let rest = odds_rest.len();
    let (mut last, mut dx, mut dy) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
    for i in 0..rest {
        (last[i], dx[i], dy[i]) = (odds_rest[i], own_x - x_rest[i], own_y - y_rest[i]);
    }
    sums.add(&last, &dx, &dy);
    // What lies where the sample does is as near as can be, and exerts no force; the sample itself is among it.
    let nothing = 1 + LANES - rest;
    let sum = |lanes: [f64; LANES]| lanes.iter().sum::<f64>();
    Forces {
        attraction: sums.attraction.map(sum),
        repulsion: sums.repulsion.map(sum),
        total: sum(sums.total) - nothing as f64,
    }
}

/// [`Forces`], summed side by side.
#[derive(Default)]
struct LaneForces {
    attraction: [[f64; LANES]; 2],
    repulsion: [[f64; LANES]; 2],
    total: [f64; LANES],
}

impl LaneForces {
    /// Adds others: how likely neighbours they are, and how far away.
    #[inline(always)]
    fn add(&mut self, odds: &[f64; LANES], dx: &[f64; LANES], dy: &[f64; LANES]) {
        for lane in 0..LANES {
            let (dx, dy) = (dx[lane], dy[lane]);
            let nearness = 1.0 / (1.0 + (dx * dx + dy * dy));
            let (pull, push) = (odds[lane] * nearness, nearness * nearness);
            self.attraction[0][lane] += pull * dx;
            self.attraction[1][lane] += pull * dy;
            self.repulsion[0][lane] += push * dx;
            self.repulsion[1][lane] += push * dy;
            self.total[lane] += nearness;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Golden {
        n: usize,
        perplexity: f64,
        distances: Vec<f64>,
        /// `[n(n-1)/2]`, pairs in order.
        odds: Vec<f64>,
        x: Vec<f64>,
        y: Vec<f64>,
        divergence: f64,
        /// `[n,2]`.
        gradient: Vec<[f64; 2]>,
        /// After 30 slow steps of the early part.
        early: Vec<[f64; 2]>,
        /// Of the whole descent.
        last_divergence: f64,
    }

    fn golden() -> (Golden, NeighborOdds, PlaneLayout) {
        let golden: Golden = serde_json::from_str(include_str!("../goldens/tsne.json")).unwrap();
        let odds = NeighborOdds::new(&golden.distances, golden.n, golden.perplexity);
        let places = PlaneLayout { x: golden.x.clone(), y: golden.y.clone() };
        (golden, odds, places)
    }

    #[test]
    fn odds_divergence_and_gradient_are_those_of_sklearn() {
        let (golden, odds, places) = golden();
        let pairs = (0..golden.n).flat_map(|i| (i + 1..golden.n).map(move |j| (i, j)));
        for ((i, j), expected) in pairs.zip(&golden.odds) {
            let found = odds.odds[i * golden.n + j];
            assert!((found - expected).abs() < 1e-4 * expected + 1e-9, "{i} {j}: {found} {expected}");
            assert_eq!(found, odds.odds[j * golden.n + i]);
        }
        let divergence = odds.divergence(&places);
        assert!((divergence / golden.divergence - 1.0).abs() < 1e-4, "{divergence} {}", golden.divergence);
        let gradient = odds.gradient(&places, 1.0);
        for (i, expected) in golden.gradient.iter().enumerate() {
            let found = [gradient[i], gradient[golden.n + i]];
            for axis in 0..2 {
                assert!((found[axis] - expected[axis]).abs() < 1e-5, "{i}: {found:?} {expected:?}");
            }
        }
    }

    #[test]
    fn the_gradient_is_the_slope_of_the_divergence() {
        let (golden, odds, places) = golden();
        let gradient = odds.gradient(&places, 1.0);
        for i in (0..golden.n).step_by(7) {
            let moved = |by: f64| {
                let mut moved = places.clone();
                moved.y[i] += by;
                odds.divergence(&moved)
            };
            let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((slope - gradient[golden.n + i]).abs() < 1e-7, "{i}: {slope}");
        }
    }

    #[test]
    fn the_descent_goes_as_that_of_sklearn() {
        let (golden, odds, places) = golden();
        let small = |values: &[f64]| values.iter().map(|x| 1e-4 * x).collect();
        let start = PlaneLayout { x: small(&places.x), y: small(&places.y) };
        let early = Descent { steps: 30, exaggeration: EXAGGERATION, momentum: 0.5, rate: 5.0 };
        let found = odds.descend(start.clone(), early);
        let size = golden.early.as_flattened().iter().fold(0.0f64, |most, x| most.max(x.abs()));
        for (i, expected) in golden.early.iter().enumerate() {
            let off = [found.x[i] - expected[0], found.y[i] - expected[1]].map(f64::abs);
            assert!(off[0].max(off[1]) < 1e-3 * size, "{i}: {off:?} of {size}");
        }
        // Later steps magnify the last digits: how well the neighbourhoods are kept is what can be compared.
        let last = odds.divergence(&odds.lay_out(start));
        assert!((last / golden.last_divergence - 1.0).abs() < 0.05, "{last} {}", golden.last_divergence);
    }
}
