//! From a foreign state dictionary to ours and back: names, shapes, types and broken statistics.

use std::path::Path;
use std::sync::Arc;

use jepa3d_schemas::Error as DataError;

use crate::error::Result;
use crate::official::{ONLINE, OfficialTensor, PointJepaSizes, STUDENT, list_tensors};
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
    /// Tensors of halves or doubles that became 32-bit floats.
    pub converted: usize,
    /// What a reader of the result should know.
    pub warnings: Vec<String>,
}

/// A state dictionary of ours.
#[derive(Debug)]
pub(crate) struct OurState {
    pub state: StateDict,
    pub sizes: PointJepaSizes,
    pub changes: Changes,
}

/// A state dictionary that the official class loads.
#[derive(Debug)]
pub(crate) struct OfficialState {
    pub state: StateDict,
    /// Its names as the official class orders them.
    pub order: Vec<String>,
    pub sizes: PointJepaSizes,
    pub changes: Changes,
}

/// Makes `state`, as read from the file `path`, one of ours: exactly the names of [`list_tensors`].
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
    drop_repeated(&mut state, &mut changes);
    let sizes = PointJepaSizes::read(&state);
    let official = list_tensors(&sizes);
    check(path, &state, &sizes, &official)?;
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
    Ok(OurState { state, sizes, changes })
}

/// Makes `state`, one of ours, one that the official class loads.
///
/// # Errors
/// Fails as [`import`] does.
pub(crate) fn export(path: &Path, state: StateDict) -> Result<OfficialState> {
    let OurState { mut state, sizes, mut changes } = import(path, state)?;
    let repeated: Vec<(String, TensorData)> = (state.range(STUDENT.to_owned()..))
        .map_while(|(name, tensor)| {
            Some((format!("{ONLINE}{}", name.strip_prefix(STUDENT)?), tensor.clone()))
        })
        .collect();
    changes.added = repeated.iter().map(|(name, _)| name.clone()).collect();
    changes.added.sort();
    let mut order = Vec::new();
    for OfficialTensor { name, .. } in list_tensors(&sizes) {
        let again = name.strip_prefix(STUDENT).map(|rest| format!("{ONLINE}{rest}"));
        order.push(name);
        order.extend(again);
    }
    state.extend(repeated);
    Ok(OfficialState { state, order, sizes, changes })
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
fn check(path: &Path, state: &StateDict, sizes: &PointJepaSizes, official: &[OfficialTensor]) -> Result<()> {
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
    let expected = format!(
        "those of Point-JEPA, width {}, {} blocks, predictor width {}, {} blocks",
        sizes.width, sizes.depth, sizes.predictor_width, sizes.predictor_depth
    );
    Err(DataError::contract(path, "tensors", expected, found.join("; ")).into())
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
