//! Reads the state dictionary of a PyTorch or Lightning checkpoint, without Python.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use jepa3d_schemas::Error as DataError;

use crate::error::Result;
use crate::pickle::{Id, Pickled, TensorView, Value};
use crate::state::{ElementType, StateDict, TensorData};
use crate::storages::{self, Storages};
use crate::tensors::{Mismatch, check_shape, element_of, gather};

/// Where checkpoints keep their state dictionary; without any of them, the file is one.
const PLACES: [&str; 4] = ["state_dict", "model_state_dict", "model", "base_model"];

/// What torch's parallel wrappers put before every name.
const WRAPPER_PREFIX: &str = "module.";

/// All tensors of a file may be this many times its length: overlapping views are rare.
const MOST_COPIES: u64 = 4;

/// Reads a file of `torch.save`, of a module's state dictionary or of a checkpoint that holds one.
///
/// Zip archives and the plain format before PyTorch 1.6. Tensors come packed, with the element type
/// they have in the file; those that share memory there share it here. Nothing in the file is run.
///
/// # Errors
/// Fails if the file is no such checkpoint (cut short, compressed, big-endian, malformed), or an
/// entry of the state dictionary is not a tensor within its storage.
pub(crate) fn read_torch(path: &Path) -> Result<StateDict> {
    let (pickled, storages) = storages::open(path)?;
    let dict = find_state_dict(path, &pickled)?;
    let mut views = Vec::with_capacity(dict.len());
    for (key, value) in dict {
        let (Value::Text(name), Value::Tensor(view)) = (pickled.get(*key), pickled.get(*value)) else {
            let name = match pickled.get(*key) {
                Value::Text(name) => format!("{name:?}"),
                other => other.kind(),
            };
            let what = format!("entry {name} of the state dictionary");
            return Err(DataError::contract(path, what, "a tensor", pickled.get(*value).kind()).into());
        };
        views.push((&**name, view));
    }
    if views.iter().all(|(name, _)| name.starts_with(WRAPPER_PREFIX)) {
        views.iter_mut().for_each(|(name, _)| *name = &name[WRAPPER_PREFIX.len()..]);
    }
    let mut tensors = TensorReader { path, storages, known: BTreeMap::new(), storage: None, bytes: 0 };
    // In the order of storages, so that each is read once.
    views.sort_by(|a, b| a.1.storage.key.cmp(&b.1.storage.key));
    views.into_iter().map(|(name, view)| Ok((name.to_owned(), tensors.read(name, view)?))).collect()
}

/// The state dictionary within what the file holds.
fn find_state_dict<'a>(path: &Path, pickled: &'a Pickled) -> Result<&'a [(Id, Id)]> {
    let root = pickled.root();
    let inner = PLACES.iter().find_map(|place| match pickled.entry(root, place) {
        Some(dict @ Value::Dict(_)) => Some(dict),
        _ => None,
    });
    if let Some(Value::Dict(pairs)) = inner {
        return Ok(pairs);
    }
    let is_tensor = |pair: &(Id, Id)| matches!(pickled.get(pair.1), Value::Tensor(_));
    match root {
        Value::Dict(pairs) if pairs.iter().any(is_tensor) => Ok(pairs),
        other => {
            let expected =
                "a state dictionary, or one under state_dict, model_state_dict, model or base_model";
            Err(DataError::contract(path, "checkpoint", expected, describe(pickled, other)).into())
        }
    }
}

/// What stands where the state dictionary should: of a dictionary, its keys.
fn describe(pickled: &Pickled, value: &Value) -> String {
    let Value::Dict(pairs) = value else { return value.kind() };
    let key = |pair: &(Id, Id)| match pickled.get(pair.0) {
        Value::Text(text) => Some(text.chars().take(40).collect()),
        _ => None,
    };
    let keys: Vec<String> = pairs.iter().filter_map(key).take(8).collect();
    if keys.is_empty() { value.kind() } else { format!("a dict of {}", keys.join(", ")) }
}

/// A view as a key.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct ViewKey {
    storage: Rc<str>,
    offset: u64,
    shape: Vec<u64>,
    strides: Vec<u64>,
    element: ElementType,
}

impl ViewKey {
    fn new(view: &TensorView, element: ElementType) -> Self {
        let TensorView { storage, offset, shape, strides } = view.clone();
        Self { storage: storage.key, offset, shape, strides, element }
    }
}

/// Tensors read so far.
struct TensorReader<'a> {
    path: &'a Path,
    storages: Storages<'a>,
    known: BTreeMap<ViewKey, Arc<Vec<u8>>>,
    /// The storage read last.
    storage: Option<(Rc<str>, Vec<u8>)>,
    bytes: u64,
}

impl TensorReader<'_> {
    fn read(&mut self, name: &str, view: &TensorView) -> Result<TensorData> {
        let path = self.path;
        let wrong = |Mismatch { expected, found }| {
            DataError::contract(path, format!("tensor {name:?}"), expected, found)
        };
        let element = element_of(view).map_err(wrong)?;
        let storage = match self.storage.take() {
            Some((key, bytes)) if key == view.storage.key => bytes,
            _ => self.storages.read(&view.storage.key)?,
        };
        let shape = check_shape(view, element, storage.len()).map_err(wrong)?;
        let key = ViewKey::new(view, element);
        let bytes = match self.known.get(&key) {
            Some(bytes) => bytes.clone(),
            None => {
                let most = MOST_COPIES * self.storages.file_len();
                self.bytes += shape.iter().product::<usize>() as u64 * element.size() as u64;
                if self.bytes > most {
                    let expected = format!("at most {most} bytes of tensors in a file of this length");
                    return Err(wrong(Mismatch { expected, found: "more".to_owned() }).into());
                }
                let bytes = Arc::new(gather(view, element, &storage));
                self.known.insert(key, bytes.clone());
                bytes
            }
        };
        self.storage = Some((view.storage.key.clone(), storage));
        Ok(TensorData { element, shape, bytes })
    }
}
