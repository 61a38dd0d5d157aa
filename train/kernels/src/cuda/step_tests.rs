//! Gathers, losses and the update on the emulated device against their definitions in f64.

use candle_core::{Device, Tensor, Var};

use super::device::{KernelDevice, NumberKind};
use super::engine::{emulate_cuda, find_kernel_device};
use super::fixture::{TestNumbers, assert_near, find_test_device, round};
use super::gather::DeviceIndex;
use super::loss::{DeviceLoss, measure_loss};
use super::run_update::{AdamNumbers, AdamRates, DeviceAverage, DeviceUpdater};

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

/// Parameters of several sizes with what an update makes of them, by its definition.
struct UpdateTwin {
    values: Vec<Vec<f32>>,
    moments: Vec<[Vec<f32>; 2]>,
}

impl UpdateTwin {
    fn update(&mut self, gradients: &[Option<Vec<f32>>], numbers: AdamNumbers, rates: &[AdamRates]) {
        let [b1, b2] = numbers.betas.map(|beta| beta as f32);
        let [rest1, rest2] = numbers.betas.map(|beta| (1.0 - beta) as f32);
        for (((p, [m, v]), gradient), rates) in
            self.values.iter_mut().zip(&mut self.moments).zip(gradients).zip(rates)
        {
            for (i, g) in gradient.iter().flatten().enumerate() {
                let g = g * numbers.scale as f32;
                m[i] = b1 * m[i] + rest1 * g;
                v[i] = b2 * v[i] + rest2 * g * g;
                let step = rates.rate as f32 * m[i] / (v[i].sqrt() * rates.root as f32 + 1e-8);
                p[i] = p[i] * rates.keep as f32 - step;
            }
        }
    }
}

fn tensors(values: &[Vec<f32>]) -> Vec<Tensor> {
    let var = |values: &Vec<f32>| {
        let shape: &[usize] = if values.len() > 3 { &[values.len() / 4, 4] } else { &[values.len()] };
        Var::from_slice(values, shape, &Device::Cpu).unwrap().as_tensor().clone()
    };
    values.iter().map(var).collect()
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Three updates of tensors of one to 10,000 numbers, one of which has no gradient in the second.
fn check_updates() {
    let mut numbers = TestNumbers::new("update");
    let values = [1usize, 10_000, 4096, 3, 4100].map(|count| numbers.normal(count, 1.0)).to_vec();
    let zeros = || values.iter().map(|v| [vec![0.0; v.len()], vec![0.0; v.len()]]).collect();
    let mut twin = UpdateTwin { values: values.clone(), moments: zeros() };
    let parameters = tensors(&values);
    let mut updater = DeviceUpdater::new(&parameters).unwrap().unwrap();
    updater.keep_halves().unwrap();
    for number in 1..4 {
        let mut gradients: Vec<Option<Vec<f32>>> =
            values.iter().map(|v| Some(numbers.normal(v.len(), 1.0))).collect();
        if number == 2 {
            gradients[1] = None;
        }
        let on_device: Vec<Option<Tensor>> = gradients
            .iter()
            .map(|g| g.as_ref().map(|g| tensors(std::slice::from_ref(g))[0].clone()))
            .collect();
        let borrowed: Vec<Option<&Tensor>> = on_device.iter().map(Option::as_ref).collect();
        let squares = gradients.iter().flatten().flatten().map(|&g| f64::from(g).powi(2));
        let norm = updater.norm(&borrowed).unwrap();
        assert!((norm / squares.sum::<f64>().sqrt() - 1.0).abs() < 1e-12);
        let shared = AdamNumbers { betas: [0.9, 0.999], epsilon: 1e-8, scale: 0.5 };
        let rates: Vec<AdamRates> =
            (0..5).map(|i| AdamRates { keep: 1.0 - 0.01 * f64::from(i), rate: 0.02, root: 3.0 }).collect();
        updater.update(&borrowed, shared, &rates).unwrap();
        twin.update(&gradients, shared, &rates);
        for (found, expected) in parameters.iter().zip(&twin.values) {
            assert_near("parameters", &flat(found), expected, 3e-6);
        }
        updater.add(&borrowed, &borrowed).unwrap();
        for (found, expected) in on_device.iter().flatten().zip(gradients.iter().flatten()) {
            assert_eq!(flat(found), expected.iter().map(|g| 2.0 * g).collect::<Vec<_>>());
        }
    }
    let moments = updater.moments().unwrap();
    for (found, expected) in moments.iter().flatten().zip(twin.moments.iter().flatten()) {
        assert_near("moments", found, expected, 3e-6);
    }
    updater.set_moments(&moments).unwrap();
    assert_eq!(updater.moments().unwrap(), moments);
    assert!(updater.set_moments(&moments[1..]).unwrap_err().to_string().contains("18199 moments"));
    check_halves(&parameters, updater);
}

/// Copies follow their parameters until they are kept no longer; vectors have none.
fn check_halves(parameters: &[Tensor], updater: DeviceUpdater) {
    let device = find_kernel_device(&parameters[0]).unwrap().unwrap();
    let [copy] = device.halves().find([&parameters[1]]).unwrap();
    assert_eq!(device.download(&copy).unwrap(), round(NumberKind::Bf16, &flat(&parameters[1])));
    assert!(device.halves().find([&parameters[0]]).is_none());
    drop(updater);
    assert!(device.halves().find([&parameters[1]]).is_none());
}

fn check_average() {
    let mut numbers = TestNumbers::new("average");
    let mut drawn = || tensors(&[1usize, 5000, 32].map(|count| numbers.normal(count, 1.0)));
    let (copies, originals) = (drawn(), drawn());
    let pairs: Vec<_> = copies.iter().cloned().zip(originals.iter().cloned()).collect();
    let mut average = DeviceAverage::new(&pairs).unwrap().unwrap();
    average.keep_halves().unwrap();
    let before: Vec<Vec<f32>> = copies.iter().map(flat).collect();
    average.update(0.25).unwrap();
    for ((copy, original), before) in copies.iter().zip(&originals).zip(&before) {
        let expected: Vec<f32> = before.iter().zip(flat(original)).map(|(c, o)| c + 0.25 * (o - c)).collect();
        assert_near("average", &flat(copy), &expected, 1e-6);
    }
    let device = find_kernel_device(&copies[1]).unwrap().unwrap();
    let [copy] = device.halves().find([&copies[1]]).unwrap();
    assert_eq!(device.download(&copy).unwrap(), round(NumberKind::Bf16, &flat(&copies[1])));
}

#[test]
fn tensors_of_any_size_are_updated_averaged_and_copied_in_one_launch() {
    let done = emulate_cuda(|| {
        check_updates();
        check_average();
    });
    if done.unwrap().is_none() {
        eprintln!("skipped: no C++ compiler to make the emulated device with");
    }
    assert!(DeviceUpdater::new(&tensors(&[vec![1.0]])).unwrap().is_none(), "the CPU updates itself");
}
