//! Numbers on a device: how they are stored, and the memory they lie in.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use candle_core::{Result, Tensor};

/// How a number is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NumberKind {
    F32,
    F64,
    Bf16,
    U32,
    U64,
}

impl NumberKind {
    /// Bytes of a number.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::F64 | Self::U64 => 8,
            Self::F32 | Self::U32 => 4,
            Self::Bf16 => 2,
        }
    }

    /// What a kernel that exists for several kinds has at the end of its name.
    fn suffix(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Bf16 => "bf16",
            Self::U32 => "u32",
            Self::U64 => "u64",
        }
    }

    /// The kernel `name` for numbers of this kind.
    pub(crate) fn name_kernel(self, name: &str) -> String {
        format!("{name}_{}", self.suffix())
    }
}

/// A piece of a device's memory, freed when it is dropped.
pub(crate) trait DeviceMemory: Debug + Send + Sync {
    /// Where it begins: a pointer on a CUDA device, a number on others; never 0.
    fn address(&self) -> u64;

    /// All of it as a tensor, if candle holds it.
    fn tensor(&self) -> Option<Tensor> {
        None
    }
}

/// Numbers on a device; clones and parts share them.
#[derive(Clone, Debug)]
pub(crate) struct DeviceArray {
    memory: Arc<dyn DeviceMemory>,
    first: usize,
    len: usize,
    kind: NumberKind,
}

impl DeviceArray {
    /// All of some memory.
    pub(crate) fn new(memory: Arc<dyn DeviceMemory>, kind: NumberKind, len: usize) -> Self {
        Self { memory, first: 0, len, kind }
    }

    pub(crate) fn address(&self) -> u64 {
        self.memory.address()
    }

    /// Bytes from the address to the first number.
    pub(crate) fn offset(&self) -> usize {
        self.first * self.kind.bytes()
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn kind(&self) -> NumberKind {
        self.kind
    }

    /// Bytes of all numbers.
    pub(crate) fn bytes(&self) -> usize {
        self.len * self.kind.bytes()
    }

    /// The numbers as a tensor `[len]`, if candle holds them.
    ///
    /// # Errors
    /// Fails if candle does.
    pub(crate) fn tensor(&self) -> Result<Option<Tensor>> {
        self.memory.tensor().map(|tensor| tensor.narrow(0, self.first, self.len)).transpose()
    }

    /// Some of the numbers.
    pub(crate) fn part(&self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.len, "{range:?} of {}", self.len);
        Self { first: self.first + range.start, len: range.len(), ..self.clone() }
    }
}
