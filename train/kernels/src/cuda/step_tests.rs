//! Gathers, losses and the update on the emulated device against their definitions in f64.

use super::adamw::{FlatParameters, FlatUpdate};
use super::device::{KernelDevice, NumberKind};
use super::fixture::{TestNumbers, assert_near, find_test_device, round};
use super::gather::DeviceIndex;
use super::loss::{DeviceLoss, measure_loss};

#[test]
fn rows_are_picked_and_go_back() {
    let Some(device) = find_test_device() else { return };
    let device = &*device;
    for (rows, width, index) in [
        (7usize, 3usize, vec![6u32, 0, 0, 3, 6, 6, 1]),
        (1, 40, vec![0; 300]),
        (4, 1, vec![]),
        (300, 2, vec![5]),
    ] {
        let mut numbers = TestNumbers::new("rows");
        let (x, dy) = (numbers.normal(rows * width, 1.0), numbers.normal(index.len() * width, 1.0));
        let picked = DeviceIndex::new(device, &index, rows).unwrap();
        let found = picked.gather(device, &device.upload(&x).unwrap()).unwrap();
        let row = |&row: &u32| x[row as usize * width..][..width].to_vec();
        assert_eq!(device.download(&found).unwrap(), index.iter().flat_map(row).collect::<Vec<_>>());
        let mut dx = vec![0.0f32; rows * width];
        for (&row, dy) in index.iter().zip(dy.chunks_exact(width)) {
            dx[row as usize * width..][..width].iter_mut().zip(dy).for_each(|(sum, x)| *sum += x);
        }
        let found = picked.scatter(device, &device.upload(&dy).unwrap(), width).unwrap();
        assert_eq!(device.download(&found).unwrap(), dx, "the same order, so the same bits");
    }
    assert!(DeviceIndex::new(device, &[4], 4).unwrap_err().to_string().contains("row 4 was picked of 4"));
}

/// Predictions and targets of one comparison.
struct LossCase {
    loss: DeviceLoss,
    width: usize,
    predictions: Vec<f32>,
    targets: Vec<f32>,
}

impl LossCase {
    fn value(&self, predictions: &[f64]) -> f64 {
        let rows = predictions.chunks_exact(self.width).zip(self.targets.chunks_exact(self.width));
        let width = self.width as f64;
        let row = |(p, t): (&[f64], &[f32])| {
            let errors = || p.iter().zip(t).map(|(p, &t)| p - f64::from(t));
            let length = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt().max(1e-6);
            let along: f64 = p.iter().zip(t).map(|(p, &t)| p * f64::from(t)).sum();
            match self.loss {
                DeviceLoss::SmoothL1 { beta } => {
                    let beta = f64::from(beta);
                    let one = |e: f64| if e.abs() < beta { e * e / 2.0 / beta } else { e.abs() - beta / 2.0 };
                    errors().map(one).sum::<f64>() / width
                }
                DeviceLoss::SumSquares => errors().map(|e| e * e).sum(),
                DeviceLoss::MeanSquares => errors().map(|e| e * e).sum::<f64>() / width,
                DeviceLoss::Cosine => {
                    let targets = length(&mut t.iter().map(|&t| f64::from(t)));
                    1.0 - along / (length(&mut p.iter().copied()) * targets)
                }
            }
        };
        rows.map(row).sum::<f64>() / (predictions.len() / self.width) as f64
    }

    /// The record by its definition.
    fn record(&self) -> [f32; 4] {
        let (n, width) = (self.predictions.len() / self.width, self.width);
        let targets: Vec<f64> = self.targets.iter().map(|&t| f64::from(t)).collect();
        let mut predictions: Vec<f64> = self.predictions.iter().map(|&p| f64::from(p)).collect();
        let loss = self.value(&predictions);
        if self.loss == DeviceLoss::Cosine {
            for (p, t) in predictions.chunks_exact_mut(width).zip(targets.chunks_exact(width)) {
                let length = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
                let scale = length(t) / (length(p) + 1e-12);
                p.iter_mut().for_each(|p| *p *= scale);
            }
        }
        let spread = |values: &[f64]| -> Vec<f64> {
            let column = |c: usize| values.iter().skip(c).step_by(width);
            let mean = |c: usize| column(c).sum::<f64>() / n as f64;
            (0..width).map(|c| column(c).map(|x| (x - mean(c)).powi(2)).sum()).collect()
        };
        let std = |spread: &[f64]| {
            spread.iter().map(|s| (s / (n.max(2) - 1) as f64).sqrt()).sum::<f64>() / width as f64
        };
        let (of_predictions, of_targets) = (spread(&predictions), spread(&targets));
        let error: f64 = predictions.iter().zip(&targets).map(|(p, t)| (p - t).powi(2)).sum();
        let variance: f64 = of_targets.iter().sum();
        let r2 = if variance > 0.0 { 1.0 - error / variance } else { 0.0 };
        [loss, std(&of_predictions), std(&of_targets), r2].map(|x| x as f32)
    }

    fn check(&self, device: &dyn KernelDevice) {
        let what = format!("{:?} of {} numbers by {}", self.loss, self.predictions.len(), self.width);
        let (p, t) = (device.upload(&self.predictions).unwrap(), device.upload(&self.targets).unwrap());
        let (gradient, record) = measure_loss(device, self.loss, &p, &t, self.width).unwrap();
        assert_near(&what, &device.download(&record).unwrap(), &self.record(), 2e-5);
        let gradient = device.download(&gradient).unwrap();
        let wide: Vec<f64> = self.predictions.iter().map(|&p| f64::from(p)).collect();
        let largest = gradient.iter().fold(1e-6f32, |most, g| most.max(g.abs()));
        for i in (0..wide.len()).step_by(7) {
            let at = |h: f64| {
                let mut moved = wide.clone();
                moved[i] += h;
                self.value(&moved)
            };
            let h = 1e-4;
            let slope = ((at(h) - at(-h)) / (2.0 * h)) as f32;
            assert!((gradient[i] - slope).abs() < 2e-3 * largest, "{what}, {i}: {} {slope}", gradient[i]);
        }
    }
}

#[test]
fn losses_gradients_and_records_by_their_definitions() {
    let Some(device) = find_test_device() else { return };
    let device = &*device;
    let kinds = [
        DeviceLoss::SmoothL1 { beta: 0.5 },
        DeviceLoss::SumSquares,
        DeviceLoss::MeanSquares,
        DeviceLoss::Cosine,
    ];
    for (loss, (rows, width)) in
        kinds.into_iter().flat_map(|loss| [(2, 5), (70, 33), (9, 1)].map(|size| (loss, size)))
    {
        let mut numbers = TestNumbers::new("loss");
        let [predictions, targets] = [(); 2].map(|()| numbers.normal(rows * width, 1.0));
        LossCase { loss, width, predictions, targets }.check(device);
    }
    // Targets that are all equal explain nothing, and are not explained.
    let (predictions, targets) = (TestNumbers::new("equal").normal(40, 1.0), vec![0.1f32; 40]);
    LossCase { loss: DeviceLoss::MeanSquares, width: 4, predictions, targets }.check(device);
}

#[test]
fn updates_clip_decay_average_and_copy() {
    let Some(device) = find_test_device() else { return };
    let device = &*device;
    let (count, decayed) = (2500usize, 1000usize);
    let mut numbers = TestNumbers::new("update");
    let mut p = numbers.normal(count, 1.0);
    let mut averages = numbers.normal(700, 1.0);
    let twin = |i: usize| (900..1600).contains(&i).then(|| i - 900);
    let twins: Vec<u32> = (0..count).map(|i| twin(i).map_or(u32::MAX, |at| at as u32)).collect();
    let (mut m, mut v) = (vec![0.0f32; count], vec![0.0f32; count]);
    let zeros = || device.upload(&vec![0.0; count]).unwrap();
    let half = |len: usize| device.allocate(NumberKind::Bf16, len).unwrap();
    let flat = FlatParameters {
        values: device.upload(&p).unwrap(),
        first: zeros(),
        second: zeros(),
        decayed,
        twins: Some((device.upload_counts(&twins).unwrap(), device.upload(&averages).unwrap())),
        halves: Some((half(count), Some(half(700)))),
    };
    for number in 1..4 {
        let update = FlatUpdate {
            betas: [0.9, 0.999],
            epsilon: 1e-8,
            learning_rate: 1e-2,
            weight_decay: 0.1,
            number,
            scale: 0.5,
            clip: if number == 2 { 0.0 } else { 3.0 },
            momentum: 0.99,
        };
        let gradient = numbers.normal(count, 1.0);
        let norm = gradient.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt() * 0.5;
        let factor = if update.clip > 0.0 { (0.5 * 3.0 / norm) as f32 } else { 0.5 };
        let [_, _, _, _, keep, rate, root, ..] = update.numbers().map(|x| x as f32);
        for i in 0..count {
            let g = gradient[i] * factor;
            m[i] = 0.9 * m[i] + 0.1 * g;
            v[i] = 0.999 * v[i] + 0.001 * g * g;
            p[i] = p[i] * if i < decayed { keep } else { 1.0 } - rate * m[i] / (v[i].sqrt() * root + 1e-8);
            if let Some(at) = twin(i) {
                averages[at] += 0.01 * (p[i] - averages[at]);
            }
        }
        let record = flat.update(device, &device.upload(&gradient).unwrap(), update).unwrap();
        assert_near("record", &device.download(&record).unwrap(), &[norm as f32, factor], 1e-6);
        assert_near("parameters", &device.download(&flat.values).unwrap(), &p, 3e-6);
    }
    let (of_twins, halves) = (flat.twins.as_ref().unwrap(), flat.halves.as_ref().unwrap());
    let found = device.download(&of_twins.1).unwrap();
    assert_near("averages", &found, &averages, 3e-6);
    assert_eq!(device.download(halves.1.as_ref().unwrap()).unwrap(), round(NumberKind::Bf16, &found));
    let values = device.download(&flat.values).unwrap();
    assert_eq!(device.download(&halves.0).unwrap(), round(NumberKind::Bf16, &values));
    // A gradient that is not finite changes nothing.
    let mut gradient = vec![1.0f32; count];
    gradient[1234] = f32::NAN;
    let update = FlatUpdate {
        betas: [0.9, 0.999],
        epsilon: 1e-8,
        learning_rate: 1.0,
        weight_decay: 0.0,
        number: 4,
        scale: 1.0,
        clip: 3.0,
        momentum: 0.0,
    };
    let record = flat.update(device, &device.upload(&gradient).unwrap(), update).unwrap();
    assert_eq!(device.download(&record).unwrap()[1], 0.0);
    assert_eq!(device.download(&flat.values).unwrap(), values);
}
