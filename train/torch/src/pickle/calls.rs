//! The calls that are understood: those that make tensors and ordered dictionaries.

use super::value::{Id, StorageName, TensorView, Value};

/// Dimensions of a tensor; more are nothing that PyTorch writes (its limit is 64).
const MOST_DIMENSIONS: usize = 64;

/// What calling `function` on the tuple `args` would make; opaque where it is not understood.
pub(super) fn call(values: &[Value], function: Id, args: Id) -> Value {
    let name = match get(values, function) {
        Value::Global(name) => name,
        Value::Object(name) => return Value::Object(name.clone()),
        _ => return Value::Object("what is no class".into()),
    };
    let no_args = Vec::new();
    let args = match get(values, args) {
        Value::Tuple(parts) => parts,
        _ => &no_args,
    };
    make(values, name, args).unwrap_or_else(|| Value::Object(name.clone()))
}

fn make(values: &[Value], name: &str, args: &[Id]) -> Option<Value> {
    let arg = |i: usize| args.get(i).map(|&id| get(values, id));
    match name {
        "torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor" => {
            Some(Value::Tensor(read_view(values, args)?))
        }
        // A parameter is its data.
        "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state" => match arg(0)? {
            Value::Tensor(view) => Some(Value::Tensor(view.clone())),
            _ => None,
        },
        // (function, type, arguments, state): a tensor with attributes of its own.
        "torch._tensor._rebuild_from_type_v2" => match (arg(0)?, arg(2)?) {
            (Value::Global(inner), Value::Tuple(args)) if **inner != *name => make(values, inner, args),
            _ => None,
        },
        // Filled afterwards, item by item.
        "collections.OrderedDict" | "collections.defaultdict" | "builtins.dict" => {
            (name == "collections.defaultdict" || args.is_empty()).then(|| Value::Dict(Vec::new()))
        }
        _ => None,
    }
}

/// (storage, offset, shape, strides, ..).
fn read_view(values: &[Value], args: &[Id]) -> Option<TensorView> {
    let [storage, offset, shape, strides, ..] = args else { return None };
    let Value::Storage(storage) = get(values, *storage) else { return None };
    let numbers = |id: Id| match get(values, id) {
        Value::Tuple(parts) if parts.len() > MOST_DIMENSIONS => None,
        Value::Tuple(parts) => {
            parts.iter().map(|&part| number(get(values, part))).collect::<Option<Vec<u64>>>()
        }
        _ => None,
    };
    let (shape, strides) = (numbers(*shape)?, numbers(*strides)?);
    let offset = number(get(values, *offset))?;
    (shape.len() == strides.len()).then(|| TensorView { storage: storage.clone(), offset, shape, strides })
}

/// A persistent id: ("storage", class, key, device, elements, ..).
pub(super) fn read_storage(values: &[Value], id: Id) -> Value {
    let opaque = || Value::Object("persistent id".into());
    let Value::Tuple(parts) = get(values, id) else { return opaque() };
    let [tag, class, key, _device, len, rest @ ..] = parts.as_slice() else { return opaque() };
    let tag = matches!(get(values, *tag), Value::Text(tag) if **tag == *"storage");
    // The oldest files name a part of another storage there.
    let is_part = rest.first().is_some_and(|&id| *get(values, id) != Value::None);
    match (get(values, *class), get(values, *key), number(get(values, *len))) {
        (Value::Global(class), Value::Text(key), Some(len)) if tag && !is_part => {
            Value::Storage(StorageName { class: class.clone(), key: key.clone(), len })
        }
        _ => opaque(),
    }
}

fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Int(n) => u64::try_from(*n).ok(),
        _ => None,
    }
}

fn get(values: &[Value], id: Id) -> &Value {
    &values[id as usize]
}
