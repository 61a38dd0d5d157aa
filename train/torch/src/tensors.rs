//! Tensors out of storages: any offset, any strides, packed into rows.

use crate::pickle::TensorView;
use crate::state::ElementType;

/// The element type of a storage class of PyTorch.
pub(crate) fn element_of_class(class: &str) -> Option<ElementType> {
    Some(match class.rsplit('.').next()? {
        "DoubleStorage" => ElementType::F64,
        "FloatStorage" => ElementType::F32,
        "HalfStorage" => ElementType::F16,
        "BFloat16Storage" => ElementType::BF16,
        "LongStorage" => ElementType::I64,
        "IntStorage" => ElementType::I32,
        "ShortStorage" => ElementType::I16,
        "CharStorage" => ElementType::I8,
        "ByteStorage" => ElementType::U8,
        "BoolStorage" => ElementType::Bool,
        _ => return None,
    })
}

/// What is wrong with a tensor.
#[derive(Debug)]
pub(crate) struct Mismatch {
    pub expected: String,
    pub found: String,
}

/// The element type of a view.
pub(crate) fn element_of(view: &TensorView) -> Result<ElementType, Mismatch> {
    let class = &view.storage.class;
    element_of_class(class).ok_or_else(|| Mismatch {
        expected: "elements of a type that safetensors knows".to_owned(),
        found: class.to_string(),
    })
}

/// The shape of a view whose elements all lie within its storage of `bytes` bytes, each at most once.
pub(crate) fn check_shape(
    view: &TensorView,
    element: ElementType,
    bytes: usize,
) -> Result<Vec<usize>, Mismatch> {
    let held = (bytes / element.size()) as u64;
    let describe = || format!("shape {:?}, strides {:?}, offset {}", view.shape, view.strides, view.offset);
    let wrong = || {
        let expected = format!("a tensor within its storage of {held} elements");
        Mismatch { expected, found: describe() }
    };
    let count = view.shape.iter().try_fold(1_u64, |n, &d| n.checked_mul(d)).ok_or_else(wrong)?;
    let mut dimensions = view.shape.iter().zip(&view.strides);
    let last = dimensions
        .try_fold(view.offset, |sum, (&d, &s)| sum.checked_add(d.saturating_sub(1).checked_mul(s)?));
    let last = last.ok_or_else(wrong)?;
    if count > held || (count > 0 && last >= held) {
        return Err(wrong());
    }
    Ok(view.shape.iter().map(|&d| d as usize).collect())
}

/// The elements of a view that [`check_shape`] has passed, the last dimension running fastest.
pub(crate) fn gather(view: &TensorView, element: ElementType, storage: &[u8]) -> Vec<u8> {
    let size = element.size();
    let count = view.shape.iter().product::<u64>() as usize;
    let start = view.offset as usize * size;
    if count == 0 {
        return Vec::new();
    }
    if is_packed(view) {
        return storage[start..start + count * size].to_vec();
    }
    let mut out = Vec::with_capacity(count * size);
    let mut index = vec![0; view.shape.len()];
    let mut at = start;
    for _ in 0..count {
        out.extend_from_slice(&storage[at..at + size]);
        // To the next index, like an odometer.
        for d in (0..index.len()).rev() {
            let stride = view.strides[d] as usize * size;
            index[d] += 1;
            at += stride;
            if index[d] < view.shape[d] {
                break;
            }
            at -= stride * index[d] as usize;
            index[d] = 0;
        }
    }
    out
}

fn is_packed(view: &TensorView) -> bool {
    let mut expected = 1;
    for (&d, &stride) in view.shape.iter().zip(&view.strides).rev() {
        if d != 1 && stride != expected {
            return false;
        }
        expected *= d;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pickle::StorageName;

    fn view(offset: u64, shape: &[u64], strides: &[u64]) -> TensorView {
        let storage = StorageName { class: "torch.ByteStorage".into(), key: "0".into(), len: 24 };
        TensorView { storage, offset, shape: shape.to_vec(), strides: strides.to_vec() }
    }

    /// Every index by its strides.
    fn brute_force(view: &TensorView, storage: &[u8]) -> Vec<u8> {
        let count: u64 = view.shape.iter().product();
        let element = |mut n: u64| {
            let mut at = view.offset;
            for (d, s) in view.shape.iter().zip(&view.strides).rev() {
                at += n % d * s;
                n /= d;
            }
            storage[at as usize]
        };
        (0..count).map(element).collect()
    }

    #[test]
    fn views_of_every_kind() {
        let storage: Vec<u8> = (0..24).collect();
        let views = [
            view(0, &[], &[]),
            view(23, &[1], &[7]),
            view(0, &[2, 3, 4], &[12, 4, 1]),
            view(0, &[4, 3, 2], &[1, 4, 12]),
            view(1, &[2, 3], &[12, 2]),
            view(4, &[5, 1, 2], &[4, 99, 1]),
            view(9, &[0, 3], &[3, 1]),
        ];
        for view in views {
            let shape = check_shape(&view, ElementType::U8, 24).unwrap();
            assert_eq!(shape.len(), view.shape.len());
            assert_eq!(gather(&view, ElementType::U8, &storage), brute_force(&view, &storage), "{view:?}");
        }
        let wide = gather(&view(1, &[2, 2], &[1, 2]), ElementType::I16, &storage);
        assert_eq!(wide, [2, 3, 6, 7, 4, 5, 8, 9], "offset and strides count elements");
    }

    #[test]
    fn views_beyond_their_storage() {
        let cases = [
            view(24, &[], &[]),
            view(0, &[25], &[1]),
            view(1, &[2, 12], &[12, 1]),
            view(0, &[1 << 40, 1 << 40], &[0, 0]),
            view(0, &[5, 5], &[0, 0]),
            view(u64::MAX, &[2], &[u64::MAX]),
            view(0, &[1 << 33, 1 << 33], &[1, 1]),
        ];
        for view in cases {
            assert!(check_shape(&view, ElementType::U8, 24).is_err(), "{view:?}");
        }
        let wrong = check_shape(&view(3, &[6], &[4]), ElementType::I16, 24).unwrap_err();
        assert_eq!(wrong.expected, "a tensor within its storage of 12 elements");
        assert_eq!(wrong.found, "shape [6], strides [4], offset 3");
    }
}
