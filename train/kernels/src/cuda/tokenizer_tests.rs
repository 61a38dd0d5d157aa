//! The tokenizer on the emulated device against the CPU's operator: tokens, statistics, the gradients of all parameters.

use candle_core::{Device, Tensor, Var};

use super::device::{KernelDevice, NumberKind};
use super::device_tokenizer::{DeviceTokenizer, PatchArray, RunningArrays, TokenizerArrays};
use super::fixture::{TestNumbers, assert_near, find_test_device};
use crate::tokenizer::fixture::weights;
use crate::tokenizer::{Mode, Widths, tokenize};

/// Widths, patches, and how they are cut.
#[derive(Clone, Copy)]
struct TokenizerCase {
    widths: Widths,
    patches: usize,
    k: usize,
    chunk_rows: usize,
}

const SMALL: Widths = Widths { c1: 8, c2: 16, c3: 32, d: 12 };

fn shapes(Widths { c1, c2, c3, d }: Widths) -> [Vec<usize>; 10] {
    [
        vec![c1, 3],
        vec![c1],
        vec![c1],
        vec![c2, c1],
        vec![c2],
        vec![c3, 2 * c2],
        vec![c3],
        vec![c3],
        vec![d, c3],
        vec![d],
    ]
}

impl TokenizerCase {
    /// Parameters in their order; the norms' weights are about 1.
    fn parameters(self) -> Vec<Vec<f32>> {
        let mut numbers = TestNumbers::new("tokenizer");
        let draw = |(i, shape): (usize, &Vec<usize>)| {
            let fan_in = if shape.len() == 2 { shape[1] as f64 } else { 9.0 };
            let center = if i == 1 || i == 6 { 1.0 } else { 0.0 };
            let drawn = numbers.normal(shape.iter().product(), 0.7 / fan_in.sqrt());
            drawn.into_iter().map(|x| center + x).collect()
        };
        shapes(self.widths).iter().enumerate().map(draw).collect()
    }

    fn check(self, device: &dyn KernelDevice, kind: NumberKind, points: &[f32], is_training: bool) {
        let what = format!("{:?}, {} patches of {} in {kind:?}", self.widths, self.patches, self.k);
        let Widths { c1, c3, d, .. } = self.widths;
        let (parameters, bound) = (self.parameters(), if kind == NumberKind::F32 { 1e-4 } else { 5e-2 });
        let vars: Vec<Var> = parameters
            .iter()
            .zip(shapes(self.widths))
            .map(|(values, shape)| Var::from_slice(values, shape, &Device::Cpu).unwrap())
            .collect();
        let mut numbers = TestNumbers::new("running");
        let mut moments = |width: usize| [numbers.normal(width, 0.1), numbers.normal(width, 0.1)];
        let [mean1, var1, mean2, var2] = [moments(c1), moments(c3)].concat().try_into().unwrap();
        let positive = |values: Vec<f32>| values.into_iter().map(|x| 0.3 + x * x).collect::<Vec<f32>>();
        let (var1, var2) = (positive(var1), positive(var2));
        let mode = match is_training {
            true => Mode::Train,
            false => Mode::Eval { bn1: (&mean1, &var1), bn2: (&mean2, &var2) },
        };
        let patches = Tensor::from_slice(points, (self.patches, self.k, 3), &Device::Cpu).unwrap();
        let (tokens, stats) = tokenize(&patches, &weights(&vars), &mode).unwrap();
        let dtokens = TestNumbers::new("dtokens").normal(self.patches * d, 1.0);
        let weighting = Tensor::from_slice(&dtokens, (self.patches, d), &Device::Cpu).unwrap();
        let store = (&tokens * weighting).unwrap().sum_all().unwrap().backward().unwrap();

        let parts = parameters.iter().map(|values| device.upload(values).unwrap()).collect::<Vec<_>>();
        let arrays = TokenizerArrays::new(parts.try_into().unwrap(), None);
        let running = (!is_training).then(|| RunningArrays {
            bn1: device.upload(&[mean1, var1].concat()).unwrap(),
            bn2: device.upload(&[mean2, var2].concat()).unwrap(),
        });
        let tokenizer = DeviceTokenizer {
            device,
            kind,
            widths: self.widths,
            parameters: &arrays,
            running,
            chunk_rows: self.chunk_rows,
        };
        let points = device.upload(points).unwrap();
        let patches = PatchArray { points: &points, k: self.k };
        let (found, saved) = tokenizer.forward(patches).unwrap();
        let expected: Vec<f32> = tokens.flatten_all().unwrap().to_vec1().unwrap();
        assert_near(&what, &device.download(&found).unwrap(), &expected, bound);
        for (stats, found) in stats.iter().flatten().zip(&saved.statistics) {
            let n = (self.patches * self.k) as f32;
            let var: Vec<f32> = stats.var.iter().map(|v| v * (n - 1.0) / n).collect();
            let expected = [stats.mean.clone(), var].concat();
            assert_near(&format!("statistics of {what}"), &device.download(found).unwrap(), &expected, bound);
        }
        let found = tokenizer.backward(patches, &device.upload(&dtokens).unwrap(), &saved).unwrap();
        let found = device.download(&found).unwrap();
        let expected: Vec<Vec<f32>> = vars
            .iter()
            .map(|var| store.get(var.as_tensor()).unwrap().flatten_all().unwrap().to_vec1().unwrap())
            .collect();
        if kind == NumberKind::Bf16 {
            // Rounding moves what is near 0 over it, and hands some maxima to other points: near as a whole.
            let length = |x: &mut dyn Iterator<Item = f32>| x.map(|x| x * x).sum::<f32>().sqrt();
            let expected = expected.concat();
            let far = length(&mut found.iter().zip(&expected).map(|(a, b)| a - b))
                / length(&mut expected.iter().copied());
            assert!(far < if self.k == 1 { 0.05 } else { 0.4 }, "gradients of {what}: {far}");
            return;
        }
        let mut first = 0;
        for (i, expected) in expected.iter().enumerate() {
            let part = &found[first..first + expected.len()];
            first += expected.len();
            assert_near(&format!("gradient {i} of {what}"), part, expected, bound);
        }
    }

    fn points(self) -> Vec<f32> {
        TestNumbers::new("points").normal(self.patches * self.k * 3, 0.2)
    }
}

#[test]
fn tokens_and_gradients_are_those_of_the_cpu() {
    let Some(device) = find_test_device() else { return };
    let device = &*device;
    let case = TokenizerCase { widths: SMALL, patches: 13, k: 8, chunk_rows: 1 << 20 };
    for kind in [NumberKind::F32, NumberKind::Bf16] {
        case.check(device, kind, &case.points(), true);
    }
    case.check(device, NumberKind::F32, &case.points(), false);
    // Three chunks, the last of one patch.
    let cut = TokenizerCase { chunk_rows: 50, ..case };
    cut.check(device, NumberKind::F32, &case.points(), true);
    cut.check(device, NumberKind::F32, &case.points(), false);
    let odd =
        TokenizerCase { widths: Widths { c1: 33, c2: 40, c3: 70, d: 5 }, patches: 40, k: 3, chunk_rows: 64 };
    odd.check(device, NumberKind::F32, &odd.points(), true);
    let one = TokenizerCase { patches: 1, k: 32, ..case };
    one.check(device, NumberKind::F32, &one.points(), true);
    let points = TokenizerCase { patches: 50, k: 1, ..case };
    points.check(device, NumberKind::F32, &points.points(), true);
    points.check(device, NumberKind::Bf16, &points.points(), true);
}

#[test]
fn of_equal_points_the_lowest_has_the_maximum() {
    let Some(device) = find_test_device() else { return };
    let device = &*device;
    let case = TokenizerCase { widths: SMALL, patches: 6, k: 8, chunk_rows: 1 << 20 };
    // Every patch repeats two points; the CPU gives gradients to the first of each.
    let mut points = case.points();
    for patch in points.chunks_exact_mut(24) {
        let (two, rest) = patch.split_at_mut(6);
        rest.chunks_exact_mut(6).for_each(|pair| pair.copy_from_slice(two));
    }
    case.check(device, NumberKind::F32, &points, true);
}
