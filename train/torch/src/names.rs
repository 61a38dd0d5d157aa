//! From a foreign state dictionary to ours and back: names, shapes, types and broken statistics.

use std::path::Path;
use std::sync::Arc;

use jepa3d_schemas::Error as DataError;

use crate::error::Result;
use crate::heads::CheckpointHead;
use crate::official::{ENCODER, ONLINE, OfficialTensor, PointJepaSizes, STUDENT};
use crate::state::{ElementType, StateDict, TensorData};

/// Where point2vec's files, and early ones of Point-JEPA, put the tokenizer.
const OLDER_TOKENIZER: &str = "tokenizer.embedding.";
const TOKENIZER: &str = "tokenizer.embedding.encoder.";

/// Names of one kind that an error lists.
const LISTED: usize = 24;

/// What was changed on the way.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Changes {
    /// Names that stood for other tensors once more, or were added as such.
    pub dropped: Vec<String>,
    /// Names that were added: the encoder's once more.
    pub added: Vec<String>,
    /// Older names that were replaced by today's.
    pub renamed: usize,
    /// Counters of batches that no file of ours holds, added as 0.
    pub counters: usize,
    /// Moments of the optimiser that were left out.
    pub moments: usize,
    /// Tensors of halves or doubles that became 32-bit floats.
    pub converted: usize,
    /// What a reader of the result should know.
    pub warnings: Vec<String>,
}

/// A state dictionary of ours.
#[derive(Debug)]
pub(crate) struct OurState {
    pub state: StateDict,
    pub head: CheckpointHead,
    pub sizes: PointJepaSizes,
    pub changes: Changes,
}

/// A state dictionary that the official class loads.
#[derive(Debug)]
pub(crate) struct OfficialState {
    pub state: StateDict,
    /// Its names as the official class orders them.
    pub order: Vec<String>,
    pub head: CheckpointHead,
    pub sizes: PointJepaSizes,
    pub changes: Changes,
}

/// Makes `state`, as read from the file `path`, one of ours: exactly the names of
/// [`CheckpointHead::list_tensors`].
///
/// Older names are replaced; `teacher.online_model.*`, which repeats `student.*`, is dropped;
/// halves and doubles become 32-bit floats; NaN running statistics become 0 and 1, with a warning.
///
/// # Errors
/// Fails if names are missing or unexpected, or tensors of another shape or type: one error names
/// them all.
pub(crate) fn import(path: &Path, mut state: StateDict) -> Result<OurState> {
    let mut changes = Changes::default();
    rename(&mut state, &mut changes);
    let head = CheckpointHead::read(&state);
    if head != CheckpointHead::Predictor {
        drop_moments(&mut state, &mut changes);
    }
    drop_repeated(&mut state, &mut changes);
    let encoder = if head == CheckpointHead::Predictor { STUDENT } else { ENCODER };
    let sizes = PointJepaSizes::read(&state, encoder);
    let official = head.list_tensors(&sizes);
    if head != CheckpointHead::Predictor {
        add_counters(&mut state, &official, &mut changes);
    }
    check(path, &state, &head.describe(&sizes), &official)?;
    for entry in &official {
        let Some(tensor) = state.get_mut(&entry.name) else { continue };
        if tensor.element != entry.element
            && let Some(values) = tensor.to_f32()
        {
            *tensor = TensorData::from_f32(&tensor.shape, &values);
            changes.converted += 1;
        }
        repair(entry, tensor, &mut changes);
    }
    Ok(OurState { state, head, sizes, changes })
}

/// Makes `state`, one of ours, one that the official class loads.
///
/// # Errors
/// Fails as [`import`] does.
pub(crate) fn export(path: &Path, state: StateDict) -> Result<OfficialState> {
    let OurState { mut state, head, sizes, mut changes } = import(path, state)?;
    if head != CheckpointHead::Predictor {
        let order = head.list_tensors(&sizes).into_iter().map(|entry| entry.name).collect();
        return Ok(OfficialState { state, order, head, sizes, changes });
    }
    let repeated: Vec<(String, TensorData)> = (state.range(STUDENT.to_owned()..))
        .map_while(|(name, tensor)| {
            Some((format!("{ONLINE}{}", name.strip_prefix(STUDENT)?), tensor.clone()))
        })
        .collect();
    changes.added = repeated.iter().map(|(name, _)| name.clone()).collect();
    changes.added.sort();
    let mut order = Vec::new();
    for OfficialTensor { name, .. } in head.list_tensors(&sizes) {
        let again = name.strip_prefix(STUDENT).map(|rest| format!("{ONLINE}{rest}"));
        order.push(name);
        order.extend(again);
    }
    state.extend(repeated);
    Ok(OfficialState { state, order, head, sizes, changes })
}

fn rename(state: &mut StateDict, changes: &mut Changes) {
    let is_older = |name: &&String| {
        name.strip_prefix(OLDER_TOKENIZER)
            .is_some_and(|rest| rest.starts_with("first_conv.") || rest.starts_with("second_conv."))
    };
    let older: Vec<String> = state.keys().filter(is_older).cloned().collect();
    for name in older {
        let today = name.replacen(OLDER_TOKENIZER, TOKENIZER, 1);
        // Both spellings at once: the older one stays, and is reported as unexpected.
        if !state.contains_key(&today)
            && let Some(tensor) = state.remove(&name)
        {
            state.insert(today, tensor);
            changes.renamed += 1;
        }
    }
}

/// What a run of ours is continued with is no part of a model.
fn drop_moments(state: &mut StateDict, changes: &mut Changes) {
    let before = state.len();
    state.retain(|name, _| !name.starts_with("optimizer."));
    changes.moments = before - state.len();
}

/// Counters of batches, which the official class asks for and running statistics here do without.
fn add_counters(state: &mut StateDict, official: &[OfficialTensor], changes: &mut Changes) {
    for entry in official.iter().filter(|entry| entry.name.ends_with(".num_batches_tracked")) {
        if !state.contains_key(&entry.name) {
            let zero = TensorData {
                element: entry.element,
                shape: entry.shape.clone(),
                bytes: Arc::new(vec![0; 8]),
            };
            state.insert(entry.name.clone(), zero);
            changes.counters += 1;
        }
    }
}

fn drop_repeated(state: &mut StateDict, changes: &mut Changes) {
    let repeated: Vec<String> = state.keys().filter(|name| name.starts_with(ONLINE)).cloned().collect();
    for name in repeated {
        let Some(tensor) = state.get(&name) else { continue };
        match state.get(&name.replacen(ONLINE, STUDENT, 1)) {
            Some(student) if Arc::ptr_eq(&student.bytes, &tensor.bytes) || student == tensor => {}
            Some(_) => {
                changes.warnings.push(format!("{name} differs from the encoder's; the encoder's was taken"))
            }
            // Left in place: reported as unexpected beside what is missing.
            None => continue,
        }
        state.remove(&name);
        changes.dropped.push(name);
    }
}

/// Whether a tensor of one type can stand for one of another.
fn is_convertible(found: ElementType, expected: ElementType) -> bool {
    use ElementType::{BF16, F16, F32, F64};
    found == expected || (expected == F32 && matches!(found, F64 | F16 | BF16))
}

/// All that is wrong with the names, shapes and types, in one error.
fn check(path: &Path, state: &StateDict, model: &str, official: &[OfficialTensor]) -> Result<()> {
    let mut missing = Vec::new();
    let (mut shapes, mut types) = (Vec::new(), Vec::new());
    for entry in official {
        let Some(tensor) = state.get(&entry.name) else {
            missing.push(format!("{} {:?}", entry.name, entry.shape));
            continue;
        };
        if tensor.shape != entry.shape {
            shapes.push(format!("{} expected {:?}, found {:?}", entry.name, entry.shape, tensor.shape));
        } else if !is_convertible(tensor.element, entry.element) {
            types.push(format!("{} expected {:?}, found {:?}", entry.name, entry.element, tensor.element));
        }
    }
    let known: std::collections::BTreeSet<&str> = official.iter().map(|e| e.name.as_str()).collect();
    let unexpected: Vec<String> = (state.iter())
        .filter(|(name, _)| !known.contains(name.as_str()))
        .map(|(name, tensor)| format!("{name} {:?}", tensor.shape))
        .collect();
    let kinds = [
        ("missing", missing),
        ("unexpected", unexpected),
        ("of another shape", shapes),
        ("of another type", types),
    ];
    let found: Vec<String> = kinds.iter().filter_map(|(kind, names)| list_names(kind, names)).collect();
    if found.is_empty() {
        return Ok(());
    }
    Err(DataError::contract(path, "tensors", format!("those of {model}"), found.join("; ")).into())
}

/// `2 missing: a [3], b [4]`.
fn list_names(kind: &str, names: &[String]) -> Option<String> {
    if names.is_empty() {
        return None;
    }
    let shown = names[..names.len().min(LISTED)].join(", ");
    let rest = match names.len().saturating_sub(LISTED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(format!("{} {kind}: {shown}{rest}", names.len()))
}

/// NaN running statistics, which a run in half precision can leave behind, become those of no data.
fn repair(entry: &OfficialTensor, tensor: &mut TensorData, changes: &mut Changes) {
    let neutral = match entry.name.rsplit('.').next() {
        Some("running_mean") => 0.0,
        Some("running_var") => 1.0,
        _ => return,
    };
    let Some(mut values) = tensor.to_f32() else { return };
    let broken = values.iter().filter(|x| x.is_nan()).count();
    if broken == 0 {
        return;
    }
    values.iter_mut().filter(|x| x.is_nan()).for_each(|x| *x = neutral);
    *tensor = TensorData::from_f32(&tensor.shape, &values);
    changes.warnings.push(format!("{}: {broken} of {} were NaN, now {neutral}", entry.name, values.len()));
}
