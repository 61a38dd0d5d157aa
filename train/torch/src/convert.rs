//! The conversion: which file is which by its name, read, checked, written.

use std::path::{Path, PathBuf};

use jepa3d_schemas::Error as DataError;
use serde::Serialize;

use crate::error::Result;
use crate::heads::CheckpointHead;
use crate::names::{Changes, OfficialState, OurState, export, import};
use crate::official::{ENCODER, OfficialTensor, PointJepaSizes, STUDENT};
use crate::safetensors_file::{SafetensorsState, read_safetensors, write_safetensors};
use crate::state::StateDict;
use crate::torch_read::read_torch;
use crate::torch_write::{Wrapper, write_torch};

/// What a conversion read and wrote.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Conversion {
    /// The file read.
    pub from: PathBuf,
    /// The file written.
    pub to: PathBuf,
    /// Tensors written.
    pub tensors: usize,
    /// Parameters of tokenizer, positions and encoder.
    pub encoder_parameters: usize,
    /// Parameters of the head of a downstream task; 0 in pretraining.
    pub head_parameters: usize,
    /// Parameters of the predictor, with the norm that the official class declares and never uses.
    pub predictor_parameters: usize,
    /// What stands on the encoder.
    pub head: CheckpointHead,
    /// The model's sizes; of the predictor only in pretraining.
    pub sizes: PointJepaSizes,
    /// What is not as it was.
    pub changes: Changes,
}

/// The kind of file that a name promises.
#[derive(Clone, Copy, PartialEq)]
enum CheckpointKind {
    Safetensors,
    Lightning,
    Plain,
}

/// Converts the checkpoint `from` to `to`; the endings of both names say what they are.
///
/// `.safetensors` is ours; `.ckpt` is written as a Lightning checkpoint with the step of the moving
/// average, `.pth` and `.pt` as a bare state dictionary; read is either under any of these names.
///
/// # Errors
/// Fails if not exactly one of the two names ends in `.safetensors`, a file cannot be read or
/// written, or its tensors are not those of a Point-JEPA model, a classifier or a
/// part-segmentation model on it: one error names all that differ.
pub fn convert(from: &Path, to: &Path) -> Result<Conversion> {
    let (source, target) = read_kinds(from, to)?;
    let (tensors, head, sizes, changes) = if source == CheckpointKind::Safetensors {
        let SafetensorsState { state, is_checked } = read_safetensors(from)?;
        let OfficialState { state, order, head, sizes, mut changes } = export(from, state)?;
        if !is_checked {
            let name = from.display();
            changes.warnings.push(format!("{name}: carries no hash, so damage in it cannot be found"));
        }
        let wrapper = match target {
            CheckpointKind::Lightning => Wrapper::Lightning { global_step: count_steps(&state) },
            _ => Wrapper::Plain,
        };
        write_torch(to, &state, &order, wrapper)?;
        (state.len(), head, sizes, changes)
    } else {
        let OurState { state, head, sizes, changes } = import(from, read_torch(from)?)?;
        write_safetensors(to, &state)?;
        (state.len(), head, sizes, changes)
    };
    let official = head.list_tensors(&sizes);
    let count = |prefixes: &[&str]| {
        let is_part = |e: &&OfficialTensor| prefixes.iter().any(|p| e.name.starts_with(p)) && !e.is_buffer();
        official.iter().filter(is_part).map(|e| e.shape.iter().product::<usize>()).sum()
    };
    Ok(Conversion {
        from: from.to_owned(),
        to: to.to_owned(),
        tensors,
        encoder_parameters: count(&["tokenizer.", "positional_encoding.", STUDENT, ENCODER]),
        head_parameters: count(&["cls_head.", "label_embedding.", "upsampling.", "seg_head."]),
        predictor_parameters: count(&["predictor."]),
        head,
        sizes,
        changes,
    })
}

/// What both names promise, of which one must be ours.
fn read_kinds(from: &Path, to: &Path) -> Result<(CheckpointKind, CheckpointKind)> {
    let (source, target) = (read_kind(from)?, read_kind(to)?);
    let is_ours = |kind| kind == CheckpointKind::Safetensors;
    if is_ours(source) != is_ours(target) {
        return Ok((source, target));
    }
    let expected = if is_ours(source) { ".ckpt, .pth or .pt" } else { ".safetensors" };
    Err(DataError::contract(to, "name", format!("one ending in {expected}"), ending(to)).into())
}

/// Updates of the moving average, which are the optimiser's steps.
fn count_steps(state: &StateDict) -> u32 {
    let bytes =
        state.get("teacher.step").and_then(|tensor| <[u8; 8]>::try_from(tensor.bytes.as_slice()).ok());
    bytes.and_then(|bytes| u32::try_from(i64::from_le_bytes(bytes)).ok()).unwrap_or(0)
}

fn read_kind(path: &Path) -> Result<CheckpointKind> {
    match path.extension().and_then(|e| e.to_str()) {
        Some("safetensors") => Ok(CheckpointKind::Safetensors),
        Some("ckpt") => Ok(CheckpointKind::Lightning),
        Some("pth" | "pt") => Ok(CheckpointKind::Plain),
        _ => {
            let expected = "one ending in .ckpt, .pth, .pt or .safetensors";
            Err(DataError::contract(path, "name", expected, ending(path)).into())
        }
    }
}

fn ending(path: &Path) -> String {
    path.extension().map_or_else(|| "none".to_owned(), |e| format!(".{}", e.to_string_lossy()))
}
