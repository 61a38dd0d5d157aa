//! LZF decompression (Lehmann's LibLZF), as `DATA binary_compressed` of PCD uses it.
//!
//! The output is bounded twice: by the length that the caller asks for, and by the format (three
//! bytes of input yield at most 264 of output), so a false length cannot allocate.

/// The longest output that `input` bytes can hold.
pub(crate) fn longest_output(input: usize) -> usize {
    input.saturating_mul(88)
}

/// Decompresses to exactly `length` bytes; `Err` says at which input byte it went wrong.
pub(crate) fn decompress(input: &[u8], length: usize) -> Result<Vec<u8>, usize> {
    let mut output = Vec::with_capacity(length.min(longest_output(input.len())));
    let mut at = 0;
    while at < input.len() {
        let control = usize::from(input[at]);
        let start = at;
        at += 1;
        if control < 32 {
            let literal = input.get(at..at + control + 1).ok_or(start)?;
            output.extend_from_slice(literal);
            at += control + 1;
        } else {
            let mut count = control >> 5;
            if count == 7 {
                count += usize::from(*input.get(at).ok_or(start)?);
                at += 1;
            }
            let distance = ((control & 31) << 8) + usize::from(*input.get(at).ok_or(start)?) + 1;
            at += 1;
            copy_back(&mut output, distance, count + 2).ok_or(start)?;
        }
        if output.len() > length {
            return Err(start);
        }
    }
    if output.len() == length { Ok(output) } else { Err(at) }
}

/// Appends `count` bytes from `distance` back; source and target may overlap (a run).
fn copy_back(output: &mut Vec<u8>, distance: usize, count: usize) -> Option<()> {
    let from = output.len().checked_sub(distance)?;
    if distance >= count {
        output.extend_from_within(from..from + count);
        return Some(());
    }
    for i in from..from + count {
        output.push(output[i]);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_references_and_runs() {
        assert_eq!(decompress(&[2, b'a', b'b', b'c'], 3), Ok(b"abc".to_vec()));
        // one literal, then a run: distance 1, length 2 + 3
        assert_eq!(decompress(&[0, b'x', 3 << 5, 0], 6), Ok(b"xxxxxx".to_vec()));
        // long form: length 2 + 7 + 4, distance 2
        assert_eq!(decompress(&[1, b'a', b'b', 7 << 5, 4, 1], 15), Ok(b"abababababababa".to_vec()));
    }

    #[test]
    fn bad_streams_are_errors() {
        assert_eq!(decompress(&[5, b'a'], 6), Err(0));
        assert_eq!(decompress(&[0, b'a', 32, 4], 4), Err(2));
        assert_eq!(decompress(&[0, b'a', 32], 4), Err(2));
        assert_eq!(decompress(&[0, b'a'], 2), Err(2));
        assert_eq!(decompress(&[1, b'a', b'b'], 1), Err(0));
        assert_eq!(decompress(&[], usize::MAX), Err(0));
    }
}
