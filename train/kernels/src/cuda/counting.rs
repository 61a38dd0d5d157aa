//! A stand-in for a device that does nothing but count: launches, bytes, uploads, read-backs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Result, Tensor};

use super::device::{
    DeviceArray, DeviceMemory, DeviceProduct, KernelArgument, KernelDevice, LaunchShape, NumberKind,
};
use super::half_copies::HalfCopies;

/// What a device was asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceCounts {
    /// Launches by kernel; products are `product`, fills `clear`, operators of candle's `candle ..`.
    pub launches: BTreeMap<String, u64>,
    /// Multiplications of products, each with an addition.
    pub multiplications: f64,
    /// Bytes of all arguments of all launches and products: what goes over the device's memory if each is touched once.
    pub moved: u64,
    /// Bytes copied to the device.
    pub uploaded: u64,
    /// Bytes copied back.
    pub downloaded: u64,
    /// Bytes allocated now.
    pub held: u64,
    /// Bytes allocated at most.
    pub peak: u64,
    /// Bytes of tensors that candle was lent: it frees them when its graph does.
    pub lent: u64,
}

impl DeviceCounts {
    /// Launches of all kernels.
    pub fn launches(&self) -> u64 {
        self.launches.values().sum()
    }
}

/// Counts, and holds no numbers: what is read is 0.
#[derive(Clone, Debug, Default)]
pub(crate) struct CountingDevice {
    counts: Arc<Mutex<DeviceCounts>>,
    next: Arc<AtomicU64>,
    halves: HalfCopies,
}

#[derive(Debug)]
struct CountedMemory {
    id: u64,
    bytes: u64,
    /// Bytes that candle has given: the device did not allocate them.
    is_shared: bool,
    kind: NumberKind,
    len: usize,
    counts: Arc<Mutex<DeviceCounts>>,
}

impl DeviceMemory for CountedMemory {
    fn address(&self) -> u64 {
        self.id
    }

    /// Zeros: candle goes on with them.
    fn tensor(&self) -> Option<Tensor> {
        let is_float = self.kind == NumberKind::F32;
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).lent += self.bytes;
        is_float.then(|| Tensor::zeros(self.len, DType::F32, &Device::Cpu).ok()).flatten()
    }
}

impl Drop for CountedMemory {
    fn drop(&mut self) {
        if self.is_shared {
            return;
        }
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).held -= self.bytes;
    }
}

impl CountingDevice {
    /// Everything so far.
    pub(crate) fn counts(&self) -> DeviceCounts {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn make(&self, kind: NumberKind, len: usize, is_shared: bool) -> DeviceArray {
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let bytes = (len * kind.bytes()) as u64;
        let memory = CountedMemory { id, bytes, is_shared, kind, len, counts: self.counts.clone() };
        DeviceArray::new(Arc::new(memory), kind, len)
    }

    fn change(&self, change: impl FnOnce(&mut DeviceCounts)) {
        change(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn note_launch(&self, kernel: &str) {
        self.change(|counts| *counts.launches.entry(kernel.to_owned()).or_default() += 1);
    }
}

impl KernelDevice for CountingDevice {
    fn allocate(&self, kind: NumberKind, len: usize) -> Result<DeviceArray> {
        let bytes = (len * kind.bytes()) as u64;
        self.change(|counts| {
            counts.held += bytes;
            counts.peak = counts.peak.max(counts.held);
        });
        Ok(self.make(kind, len, false))
    }

    fn write(&self, _: &DeviceArray, bytes: &[u8]) -> Result<()> {
        self.change(|counts| counts.uploaded += bytes.len() as u64);
        Ok(())
    }

    fn read(&self, array: &DeviceArray) -> Result<Vec<u8>> {
        self.change(|counts| counts.downloaded += array.bytes() as u64);
        Ok(vec![0; array.bytes()])
    }

    fn clear(&self, _: &DeviceArray) -> Result<()> {
        self.note_launch("clear");
        Ok(())
    }

    fn pointer(&self, array: &DeviceArray) -> u64 {
        array.address()
    }

    fn halves(&self) -> &HalfCopies {
        &self.halves
    }

    fn note(&self, what: &'static str, count: u64) {
        self.change(|counts| *counts.launches.entry(what.to_owned()).or_default() += count);
    }

    fn note_moved(&self, bytes: u64) {
        self.change(|counts| counts.moved += bytes);
    }

    fn share(&self, tensor: &Tensor) -> Result<Option<DeviceArray>> {
        Ok(Some(self.make(NumberKind::F32, tensor.elem_count(), true)))
    }

    fn launch(&self, kernel: &str, _: LaunchShape, arguments: &[KernelArgument<'_>]) -> Result<()> {
        self.note_launch(kernel);
        let bytes = |argument: &KernelArgument<'_>| match argument {
            KernelArgument::Array(array) | KernelArgument::Optional(Some(array)) => array.bytes() as u64,
            _ => 0,
        };
        self.change(|counts| counts.moved += arguments.iter().map(bytes).sum::<u64>());
        Ok(())
    }

    fn multiply(&self, product: DeviceProduct<'_>) -> Result<()> {
        if !product.is_empty() {
            self.note_launch("product");
            let size = product.rows as f64 * product.columns as f64 * product.depth as f64;
            let DeviceProduct { left, right, out, .. } = product;
            let bytes: usize = [left, right, out].iter().map(|factor| factor.array.bytes()).sum();
            self.change(|counts| {
                counts.multiplications += size;
                counts.moved += bytes as u64;
            });
        }
        Ok(())
    }
}
