//! What tests of kernels share: the device, numbers, comparisons.

use std::sync::Arc;

use jepa3d_schemas::Draws;

use super::device::{DeviceArray, KernelDevice, NumberKind};
use super::emulated::EmulatedDevice;

/// The emulated device, or with `JEPA3D_TEST_CUDA=1` in a build for CUDA the first real one; tests that get none say so and pass.
pub(crate) fn find_test_device() -> Option<Arc<dyn KernelDevice>> {
    #[cfg(feature = "cuda")]
    if std::env::var_os("JEPA3D_TEST_CUDA").is_some() {
        let device = candle_core::CudaDevice::new_with_stream(0).unwrap();
        return Some(super::cuda_device::CudaKernels::open(&device).unwrap());
    }
    let device = EmulatedDevice::start().unwrap();
    if device.is_none() {
        eprintln!("skipped: no C++ compiler (CXX, c++, g++, clang++) to make the emulated device with");
    }
    device.map(|device| Arc::new(device) as Arc<dyn KernelDevice>)
}

/// Seeded numbers.
pub(crate) struct TestNumbers(Draws);

impl TestNumbers {
    pub(crate) fn new(what: &str) -> Self {
        Self(Draws::new(1, what, "emulation"))
    }

    /// Normal, with this standard deviation.
    pub(crate) fn normal(&mut self, count: usize, scale: f64) -> Vec<f32> {
        (0..count).map(|_| (self.0.normal() * scale) as f32).collect()
    }
}

/// As `bf16` holds them.
pub(crate) fn round(kind: NumberKind, values: &[f32]) -> Vec<f32> {
    let half = |value: &f32| {
        let bits = value.to_bits();
        f32::from_bits((bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff_0000)
    };
    if kind == NumberKind::Bf16 { values.iter().map(half).collect() } else { values.to_vec() }
}

/// Copies numbers to the device as this kind; those of bf16 are rounded.
pub(crate) fn upload(device: &dyn KernelDevice, kind: NumberKind, values: &[f32]) -> DeviceArray {
    if kind == NumberKind::F32 {
        return device.upload(values).unwrap();
    }
    let array = device.allocate(NumberKind::Bf16, values.len()).unwrap();
    let bits = |value: f32| ((value.to_bits() >> 16) as u16).to_le_bytes();
    let bytes: Vec<u8> = round(kind, values).into_iter().flat_map(bits).collect();
    device.write(&array, &bytes).unwrap();
    array
}

/// Largest difference is below `bound` times the largest number.
#[track_caller]
pub(crate) fn assert_near(what: &str, found: &[f32], expected: &[f32], bound: f32) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let size = expected.iter().fold(1e-3f32, |most, x| most.max(x.abs()));
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= bound * size, "{what}, number {i}: {a} instead of {b}, all up to {size}");
    }
}

/// How far numbers of this kind may be from those of the CPU's kernels.
pub(crate) fn noise(kind: NumberKind) -> f32 {
    if kind == NumberKind::Bf16 { 1e-2 } else { 1e-5 }
}

/// Both kinds that activations have.
pub(crate) const KINDS: [NumberKind; 2] = [NumberKind::F32, NumberKind::Bf16];
