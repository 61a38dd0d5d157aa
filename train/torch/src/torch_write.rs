//! Writes a state dictionary as `torch.save` does: a zip archive of a pickle and the raw storages.
//!
//! The pickle names only what `torch.load(weights_only=True)` allows. Tensors that share their
//! bytes here share a storage there.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::path::Path;
use std::sync::Arc;

use jepa3d_schemas::{Error as DataError, write_atomically};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::error::Result;
use crate::state::{ElementType, StateDict, TensorData};

/// What stands around the state dictionary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrapper {
    /// Nothing: `model.load_state_dict(torch.load(file))`.
    Plain,
    /// Lightning's checkpoint, with this step: `Model.load_from_checkpoint(file)`.
    Lightning {
        /// Optimiser steps done.
        global_step: u32,
    },
}

/// The Lightning version that the checkpoint claims, so that Lightning need not migrate it.
const LIGHTNING_VERSION: &str = "2.0.0";

/// Bytes at whose multiples storages begin, for readers that map the file.
const ALIGNMENT: u16 = 64;

/// Writes the tensors to `path`, in the given order of names and atomically.
///
/// # Errors
/// Fails if the disk does.
///
/// # Panics
/// If `order` names a tensor that `state` lacks.
pub(crate) fn write_torch(path: &Path, state: &StateDict, order: &[String], wrapper: Wrapper) -> Result<()> {
    let tensors: Vec<(&String, &TensorData)> =
        order.iter().map(|name| (name, state.get(name).expect("every name of the order is there"))).collect();
    let bytes = write_archive(&tensors, wrapper).map_err(|e| DataError::io(path, e))?;
    Ok(write_atomically(path, &bytes)?)
}

fn write_archive(tensors: &[(&String, &TensorData)], wrapper: Wrapper) -> std::io::Result<Vec<u8>> {
    let mut keys = BTreeMap::new();
    let mut storages: Vec<&Arc<Vec<u8>>> = Vec::new();
    for (_, tensor) in tensors {
        keys.entry(Arc::as_ptr(&tensor.bytes)).or_insert_with(|| {
            storages.push(&tensor.bytes);
            storages.len() - 1
        });
    }
    let key = |tensor: &TensorData| keys[&Arc::as_ptr(&tensor.bytes)];
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
        .with_alignment(ALIGNMENT);
    let mut entry = |name: &str, bytes: &[u8]| {
        let is_large = bytes.len() as u64 > u64::from(u32::MAX) - 1024;
        zip.start_file(format!("archive/{name}"), options.large_file(is_large))?;
        zip.write_all(bytes)
    };
    entry("data.pkl", &write_pickle(tensors, key, wrapper))?;
    entry("byteorder", b"little")?;
    for (i, bytes) in storages.iter().enumerate() {
        entry(&format!("data/{i}"), bytes)?;
    }
    entry("version", b"3\n")?;
    Ok(zip.finish()?.into_inner())
}

fn write_pickle(
    tensors: &[(&String, &TensorData)],
    key: impl Fn(&TensorData) -> usize,
    wrapper: Wrapper,
) -> Vec<u8> {
    let mut out = PickleWriter(vec![0x80, 2]);
    if let Wrapper::Lightning { global_step } = wrapper {
        out.op(b"}(");
        out.text("epoch");
        out.int(0);
        out.text("global_step");
        out.int(global_step as usize);
        out.text("pytorch-lightning_version");
        out.text(LIGHTNING_VERSION);
        out.text("state_dict");
    }
    out.global("collections", "OrderedDict");
    out.op(b")R(");
    for (name, tensor) in tensors {
        out.text(name);
        out.tensor(tensor, key(tensor));
    }
    out.op(b"u");
    if wrapper != Wrapper::Plain {
        out.op(b"u");
    }
    out.op(b".");
    out.0
}

/// A pickle of protocol 2 in the making.
struct PickleWriter(Vec<u8>);

impl PickleWriter {
    fn op(&mut self, ops: &[u8]) {
        self.0.extend(ops);
    }

    fn text(&mut self, text: &str) {
        self.op(b"X");
        self.op(&(text.len() as u32).to_le_bytes());
        self.op(text.as_bytes());
    }

    fn global(&mut self, module: &str, name: &str) {
        self.op(format!("c{module}\n{name}\n").as_bytes());
    }

    /// An integer: of 32 bits, or else with its length.
    fn int(&mut self, value: usize) {
        match i32::try_from(value) {
            Ok(small) => {
                self.op(b"J");
                self.op(&small.to_le_bytes());
            }
            Err(_) => {
                self.op(&[0x8a, 8]);
                self.op(&(value as i64).to_le_bytes());
            }
        }
    }

    fn ints(&mut self, values: &[usize]) {
        self.op(b"(");
        values.iter().for_each(|&value| self.int(value));
        self.op(b"t");
    }

    /// `_rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict())`.
    fn tensor(&mut self, tensor: &TensorData, key: usize) {
        self.global("torch._utils", "_rebuild_tensor_v2");
        self.op(b"((");
        self.text("storage");
        self.global("torch", storage_class(tensor.element));
        self.text(&key.to_string());
        self.text("cpu");
        self.int(tensor.bytes.len() / tensor.element.size());
        self.op(b"tQ");
        self.int(0);
        self.ints(&tensor.shape);
        self.ints(&packed_strides(&tensor.shape));
        self.op(&[0x89]);
        self.global("collections", "OrderedDict");
        self.op(b")RtR");
    }
}

/// Elements from one index to the next, each dimension.
fn packed_strides(shape: &[usize]) -> Vec<usize> {
    (1..=shape.len()).map(|d| shape[d..].iter().product()).collect()
}

fn storage_class(element: ElementType) -> &'static str {
    match element {
        ElementType::F64 => "DoubleStorage",
        ElementType::F32 => "FloatStorage",
        ElementType::F16 => "HalfStorage",
        ElementType::BF16 => "BFloat16Storage",
        ElementType::I64 => "LongStorage",
        ElementType::I32 => "IntStorage",
        ElementType::I16 => "ShortStorage",
        ElementType::I8 => "CharStorage",
        ElementType::U8 => "ByteStorage",
        ElementType::Bool => "BoolStorage",
    }
}
