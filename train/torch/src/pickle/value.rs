//! What a pickle holds, in one arena.

use std::rc::Rc;

/// Place of a value in its arena.
pub(crate) type Id = u32;

/// One value; containers name their parts, so that shared and cyclic values need no care.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Rc<str>),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A class or function, as `module.name`.
    Global(Rc<str>),
    /// The bytes behind tensors, stored outside the pickle.
    Storage(StorageName),
    Tensor(TensorView),
    /// Anything else, by what would have made it.
    Object(Rc<str>),
}

/// The name of bytes stored outside the pickle.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StorageName {
    /// Its class, like `torch.FloatStorage`, which gives the element type.
    pub class: Rc<str>,
    /// Its name in the archive.
    pub key: Rc<str>,
    /// Number of elements.
    pub len: u64,
}

/// A tensor: elements of a storage.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TensorView {
    pub storage: StorageName,
    /// Elements before the first.
    pub offset: u64,
    pub shape: Vec<u64>,
    /// Elements from one index to the next, each dimension.
    pub strides: Vec<u64>,
}

/// A whole pickle: its values and the outermost one.
#[derive(Debug)]
pub(crate) struct Pickled {
    pub(super) values: Vec<Value>,
    pub(super) root: Id,
    /// Bytes up to and with the end mark.
    pub(super) read: usize,
}

impl Pickled {
    /// The outermost value.
    pub fn root(&self) -> &Value {
        self.get(self.root)
    }

    /// The value at `id`.
    pub fn get(&self, id: Id) -> &Value {
        &self.values[id as usize]
    }

    /// Bytes of the pickle, for what follows it.
    pub fn read(&self) -> usize {
        self.read
    }

    /// Every storage that is named.
    pub fn storages(&self) -> impl Iterator<Item = &StorageName> {
        self.values.iter().filter_map(|value| match value {
            Value::Storage(storage) => Some(storage),
            _ => None,
        })
    }

    /// The entry `key` of a dictionary; of equal keys the last, as in Python.
    pub fn entry(&self, dict: &Value, key: &str) -> Option<&Value> {
        let Value::Dict(pairs) = dict else { return None };
        let is_key = |id: Id| matches!(self.get(id), Value::Text(text) if **text == *key);
        pairs.iter().rev().find(|pair| is_key(pair.0)).map(|pair| self.get(pair.1))
    }
}

impl Value {
    /// The kind of value, for messages.
    pub fn kind(&self) -> String {
        match self {
            Self::None => "None".to_owned(),
            Self::Bool(_) => "a bool".to_owned(),
            Self::Int(_) => "an int".to_owned(),
            Self::Float(_) => "a float".to_owned(),
            Self::Text(_) => "a str".to_owned(),
            Self::Tuple(parts) => format!("a tuple of {}", parts.len()),
            Self::List(parts) => format!("a list of {}", parts.len()),
            Self::Dict(pairs) => format!("a dict of {}", pairs.len()),
            Self::Global(name) => name.to_string(),
            Self::Storage(storage) => storage.class.to_string(),
            Self::Tensor(view) => format!("a tensor {:?}", view.shape),
            Self::Object(name) => format!("an object of {name}"),
        }
    }
}
