//! Norm, GELU, branches and column sums on the emulated device against the CPU's kernels.

use super::bias_gelu::{GeluInput, bias_gelu, bias_gelu_backward};
use super::branch::{BranchDrop, BranchGradients, add_branch, branch_backward};
use super::device::{DeviceDrop, KernelDevice, NumberKind};
use super::fixture::{KINDS, TestNumbers, assert_near, find_test_device, noise, round, upload};
use super::layer_norm::{
    BranchEnd, DeviceAffine, NormGradients, RunningTotal, branch_norm, layer_norm, layer_norm_backward,
    standardize_rows,
};
use super::partial_sums::PartialSums;
use crate::affine::{Affine, AffineGradient};
use crate::dropout::{Mask, key_of};
use crate::gelu::{gelu, gelu_backward};
use crate::norm::{self, NormInput, RowStats};

/// Rows and widths: odd, one, none, more than a block, and a real one.
const SIZES: [(usize, usize); 6] = [(1, 1), (3, 33), (0, 20), (77, 5), (300, 24), (40, 384)];

fn column_sums(x: &[f32], width: usize) -> Vec<f32> {
    (0..width).map(|c| x.chunks_exact(width).map(|row| f64::from(row[c])).sum::<f64>() as f32).collect()
}

fn check_norm(device: &dyn KernelDevice, kind: NumberKind, x: &[f32], width: usize) {
    let rows = x.len() / width;
    let what = format!("norm of [{rows}, {width}] in {kind:?}");
    let mut numbers = TestNumbers::new("norm");
    let (added, weight, bias) =
        (numbers.normal(x.len(), 1.0), numbers.normal(width, 1.0), numbers.normal(width, 1.0));
    let (dy, start) = (round(kind, &numbers.normal(x.len(), 1.0)), numbers.normal(x.len(), 1.0));
    for is_added in [false, true] {
        let state: Vec<f32> = x.iter().zip(&added).map(|(x, a)| if is_added { x + a } else { *x }).collect();
        let (mut out, mut stats) = (vec![0.0; x.len()], vec![RowStats::default(); rows]);
        norm::layer_norm(&mut out, &mut stats, &state, Affine { weight: &weight, bias: &bias });
        let (mut dx, mut dw, mut db) = (start.clone(), vec![0.0; width], vec![0.0; width]);
        let mut gradient = AffineGradient { weight: &mut dw, bias: &mut db };
        norm::layer_norm_backward(
            &mut dx,
            &mut gradient,
            NormInput { rows: &state, stats: &stats },
            &weight,
            &dy,
        );

        let affine =
            DeviceAffine { weight: device.upload(&weight).unwrap(), bias: device.upload(&bias).unwrap() };
        let x = device.upload(x).unwrap();
        let added = is_added.then(|| device.upload(&added).unwrap());
        let (normed, found) = layer_norm(device, kind, &x, added.as_ref(), &affine).unwrap();
        assert_near(&what, &device.download(&found).unwrap(), &out, noise(kind));
        assert_eq!(device.download(&normed.state).unwrap(), state, "{what}");
        let (dy, of_x) = (upload(device, kind, &dy), device.upload(&start).unwrap());
        let sums = PartialSums::new(device, rows, 2 * width).unwrap();
        let total = device.allocate(NumberKind::F32, x.len()).unwrap();
        let total = RunningTotal { array: &total, is_first: true };
        let gradients = NormGradients { dy: &dy, dx: &of_x, total: Some(total), sums: &sums, column: 0 };
        layer_norm_backward(device, &normed, &affine.weight, gradients).unwrap();
        assert_eq!(device.download(&of_x).unwrap(), device.download(total.array).unwrap(), "{what}");
        assert_near(&what, &device.download(&of_x).unwrap(), &dx, 2e-5);
        let sums = device.download(&sums.finish(device).unwrap()).unwrap();
        assert_near(&what, &sums[..width], &dw, 2e-5);
        assert_near(&what, &sums[width..], &db, 2e-5);
    }
}

#[test]
fn norms_are_those_of_the_cpu() {
    let Some(device) = find_test_device() else { return };
    let device = &*device;
    for (rows, width) in SIZES {
        let x = TestNumbers::new("rows").normal(rows * width, 2.0);
        KINDS.iter().for_each(|&kind| check_norm(device, kind, &x, width));
    }
    // Rows of equal numbers, and large ones.
    let rows = [vec![3.0f32; 40], TestNumbers::new("large").normal(40, 1e4)].concat();
    check_norm(device, NumberKind::F32, &rows, 40);
}

#[test]
fn rows_without_parameters_get_mean_0_and_variance_1() {
    let Some(device) = find_test_device() else { return };
    for (rows, width) in [(3, 33), (77, 5), (0, 20)] {
        let x = TestNumbers::new("standard").normal(rows * width, 3.0);
        let found = standardize_rows(&*device, &device.upload(&x).unwrap(), width).unwrap();
        let (mut out, mut stats) = (vec![0.0; x.len()], vec![RowStats::default(); rows]);
        let (ones, zeros) = (vec![1.0; width], vec![0.0; width]);
        norm::layer_norm(&mut out, &mut stats, &x, Affine { weight: &ones, bias: &zeros });
        assert_near("standard", &device.download(&found).unwrap(), &out, 1e-5);
    }
}

#[test]
fn gelu_with_bias_and_dropout_is_that_of_the_cpu() {
    let Some(device) = find_test_device() else { return };
    let device = &*device;
    for ((rows, width), kind) in SIZES.into_iter().flat_map(|size| KINDS.map(|kind| (size, kind))) {
        let what = format!("gelu of [{rows}, {width}] in {kind:?}");
        let mask = (rows % 2 == 1).then(|| Mask::new(key_of(7, 2), 0.3).unwrap());
        let mut numbers = TestNumbers::new("gelu");
        let (mut x, bias) = (round(kind, &numbers.normal(rows * width, 3.0)), numbers.normal(width, 1.0));
        if let Some(first) = x.first_mut() {
            *first = -1e4;
        }
        let dy = round(kind, &numbers.normal(x.len(), 1.0));
        let biased: Vec<f32> = x.iter().enumerate().map(|(i, x)| x + bias[i % width]).collect();
        let (mut out, mut dx) = (vec![0.0; x.len()], dy.clone());
        gelu(&mut out, &biased);
        mask.inspect(|mask| mask.apply(&mut out, 0));
        mask.inspect(|mask| mask.apply(&mut dx, 0));
        gelu_backward(&mut dx, &biased);

        let (x, gradient) = (upload(device, kind, &x), upload(device, kind, &dy));
        let device_bias = device.upload(&bias).unwrap();
        let input = GeluInput { x: &x, bias: &device_bias, drop: DeviceDrop::from(mask) };
        let found = bias_gelu(device, input).unwrap();
        assert_near(&what, &device.download(&found).unwrap(), &out, noise(kind));
        let sums = PartialSums::new(device, rows, width + 3).unwrap();
        device.clear(sums.array()).unwrap();
        let again = bias_gelu_backward(device, input, &gradient, &sums, 2).unwrap();
        assert_eq!(device.download(&again).unwrap(), device.download(&found).unwrap(), "{what}");
        assert_near(&what, &device.download(&gradient).unwrap(), &dx, noise(kind));
        let sums = device.download(&sums.finish(device).unwrap()).unwrap();
        assert_near(&what, &sums[2..width + 2], &column_sums(&dx, width), 2e-5);
        assert_eq!((sums[1], sums[width + 2]), (0.0, 0.0), "{what}: sums beside its own");
    }
}

#[test]
fn branches_are_those_of_the_cpu() {
    let Some(device) = find_test_device() else { return };
    let device = &*device;
    for ((samples, width), kind) in SIZES.into_iter().flat_map(|size| KINDS.map(|kind| (size, kind))) {
        let (tokens, what) = (3, format!("branch of [{samples}, 3, {width}] in {kind:?}"));
        let (elements, paths) = (Mask::new(key_of(5, 1), 0.2), Mask::new(key_of(5, 5), 0.4));
        let count = samples * tokens * width;
        let mut numbers = TestNumbers::new("branch");
        let (x, bias) = (numbers.normal(count, 1.0), numbers.normal(width, 1.0));
        let (y, dout) = (round(kind, &numbers.normal(count, 1.0)), numbers.normal(count, 1.0));
        let drop = |values: &mut [f32]| {
            elements.unwrap().apply(values, 0);
            let samples = values.chunks_exact_mut(tokens * width).enumerate();
            samples.for_each(|(i, v)| v.iter_mut().for_each(|v| *v *= paths.unwrap().factor(i as u32)));
        };
        let mut out: Vec<f32> = y.iter().enumerate().map(|(i, y)| y + bias[i % width]).collect();
        drop(&mut out);
        out.iter_mut().zip(&x).for_each(|(out, x)| *out += x);
        let mut dy = dout.clone();
        drop(&mut dy);

        let drops = BranchDrop { elements: elements.into(), samples: paths.into(), tokens };
        let (x, y, bias) =
            (device.upload(&x).unwrap(), upload(device, kind, &y), device.upload(&bias).unwrap());
        let found = add_branch(device, &x, &y, &bias, drops).unwrap();
        assert_near(&what, &device.download(&found).unwrap(), &out, 1e-6);
        let affine = DeviceAffine { weight: bias.clone(), bias: bias.clone() };
        let end = BranchEnd { y: &y, bias: &bias, drop: drops };
        let (normed, both) = branch_norm(device, &x, end, &affine).unwrap();
        assert_near(&what, &device.download(&normed.state).unwrap(), &out, 1e-6);
        let (again, expected) = layer_norm(device, kind, &normed.state, None, &affine).unwrap();
        let read = |array| device.download(array).unwrap();
        assert_eq!((read(&both), read(&normed.stats)), (read(&expected), read(&again.stats)), "{what}");
        let sums = PartialSums::new(device, samples * tokens, width).unwrap();
        let dout = device.upload(&dout).unwrap();
        let gradients = BranchGradients { dout: &dout, width, sums: &sums, column: 0 };
        let found = branch_backward(device, kind, gradients, drops).unwrap();
        assert_near(&what, &device.download(&found).unwrap(), &dy, noise(kind));
        let again = PartialSums::new(device, samples * tokens, width).unwrap();
        again.add_columns(device, &found, width, 0).unwrap();
        let [sums, again] = [sums, again].map(|sums| device.download(&sums.finish(device).unwrap()).unwrap());
        assert_near(&what, &sums, &column_sums(&dy, width), 2e-5);
        assert_near(&what, &again, &column_sums(&device.download(&found).unwrap(), width), 2e-5);
    }
}
