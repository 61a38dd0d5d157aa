//! Files that are no checkpoints, cut ones, changed ones: errors that name the file, never a panic.

use std::io::Write;

use jepa3d_schemas::Draws;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::tests::{golden, message};
use super::*;
use crate::torch_read::read_torch;

/// A zip archive of the given entries.
fn archive(entries: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        zip.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// What reading a file of these bytes says, after its name.
fn refused(bytes: &[u8]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.ckpt");
    std::fs::write(&path, bytes).unwrap();
    let message = message(read_torch(&path));
    message.strip_prefix(&format!("{}: ", path.display())).expect("the file's name").to_owned()
}

/// A state dictionary of one tensor: `x` of `shape`, in storage 0 of `len` floats.
fn one_tensor(shape: &[u8], len: u8) -> Vec<u8> {
    let numbers: Vec<u8> = shape.iter().flat_map(|&d| [b'K', d]).collect();
    [
        b"}X\x01\0\0\0xctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK".as_slice(),
        &[len],
        b"tQK\0(",
        &numbers,
        b"t(",
        &[b'K', 1].repeat(shape.len()),
        b"t\x89}tRs.",
    ]
    .concat()
}

#[test]
fn files_that_are_no_checkpoints() {
    use CompressionMethod::{Deflated, Stored};
    assert_eq!(refused(b""), "file: expected what torch.save writes, found an empty file");
    assert_eq!(
        refused(b"not a checkpoint"),
        "file: expected what torch.save writes, found bytes that begin with [6e, 6f, 74, 20]"
    );
    let found = "found a zip archive of 1 other entries";
    let zip = |entries: &[(&str, &[u8])]| refused(&archive(entries, Stored));
    assert_eq!(
        zip(&[("a/other.pkl", b"N.")]),
        format!("file: expected an entry data.pkl, as torch.save writes, {found}")
    );
    assert_eq!(
        zip(&[("a/data.pkl", b"N."), ("a/byteorder", b"big")]),
        "byteorder: expected little, found big"
    );
    assert_eq!(
        zip(&[("a/data.pkl", b"N."), ("a/constants.pkl", b"N.")]),
        "file: expected a checkpoint of torch.save, found a TorchScript program"
    );
    assert_eq!(
        zip(&[("a/data.pkl", b"}(h\x09.")]),
        "data.pkl, byte 2: expected a remembered value, found none in slot 9"
    );
    let expected = "a state dictionary, or one under state_dict, model_state_dict, model or base_model";
    assert_eq!(zip(&[("a/data.pkl", b"]N.")]), format!("checkpoint: expected {expected}, found None"));
    assert_eq!(
        zip(&[("a/data.pkl", b"}(X\x05\0\0\0epochK\x01X\x03\0\0\0argNu.")]),
        format!("checkpoint: expected {expected}, found a dict of epoch, arg")
    );
    assert_eq!(
        zip(&[("a/data.pkl", b"}X\x0a\0\0\0state_dict}X\x01\0\0\0xK\x05ss.")]),
        "entry \"x\" of the state dictionary: expected a tensor, found an int"
    );
    let deflated = archive(&[("a/data.pkl", &[b'N'; 1000])], Deflated);
    assert_eq!(refused(&deflated), "entry \"a/data.pkl\": expected stored bytes, found Deflated ones");
}

#[test]
fn tensors_beyond_their_file() {
    let zip = |pickle: &[u8], data: &[u8]| {
        refused(&archive(&[("a/data.pkl", pickle), ("a/data/0", data)], CompressionMethod::Stored))
    };
    assert_eq!(
        zip(&one_tensor(&[4], 4), &[0; 12]),
        "tensor \"x\": expected a tensor within its storage of 3 elements, found shape [4], strides [1], offset 0"
    );
    assert!(zip(&one_tensor(&[255; 60], 4), &[0; 16]).starts_with("tensor \"x\": expected a tensor within"));
    assert_eq!(
        zip(&one_tensor(&[0; 65], 4), &[0; 16]),
        "checkpoint: expected a state dictionary, or one under state_dict, model_state_dict, model or base_model, \
         found a dict of x"
    );
    let missing = archive(&[("a/data.pkl", &one_tensor(&[4], 4))], CompressionMethod::Stored);
    assert_eq!(refused(&missing), "storages: expected one of key \"0\", found none");
}

/// Cut at any length, in both formats.
#[test]
fn cut_files() {
    for name in ["kinds2.pth", "old.pth", "lightning.ckpt"] {
        let whole = std::fs::read(golden(name)).unwrap();
        for len in (0..whole.len()).step_by(whole.len() / 60) {
            let reason = refused(&whole[..len]);
            assert!(reason.contains("expected"), "{name} cut to {len} bytes: {reason}");
        }
    }
    let whole = std::fs::read(golden("old.pth")).unwrap();
    let reason = refused(&whole[..whole.len() - 1]);
    assert!(reason.starts_with("storage ") && reason.ends_with("bytes to the end of the file"), "{reason}");
}

/// Changed bytes anywhere in a file: an error that names it, or tensors; never a panic.
#[test]
fn mutated_files_never_panic() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.ckpt");
    let mut draws = Draws::new(4, "checkpoints", "mutations");
    let mut accepted = 0;
    for name in ["kinds2.pth", "kinds5.pth", "old.pth"] {
        let whole = std::fs::read(golden(name)).unwrap();
        for _ in 0..400 {
            let mut bytes = whole.clone();
            for _ in 0..1 + draws.index(3) {
                let at = draws.index(bytes.len());
                bytes[at] = draws.bits() as u8;
            }
            std::fs::write(&path, &bytes).unwrap();
            match read_torch(&path) {
                Ok(_) => accepted += 1,
                Err(error) => assert!(error.to_string().starts_with(&path.display().to_string()), "{error}"),
            }
        }
    }
    assert!((100..1100).contains(&accepted), "{accepted}");
}

#[test]
fn broken_safetensors() {
    let dir = tempfile::tempdir().unwrap();
    let (good, bad) = (dir.path().join("a.safetensors"), dir.path().join("b.safetensors"));
    convert(&golden("lightning.ckpt"), &good).unwrap();
    let whole = std::fs::read(&good).unwrap();
    for len in [0, 5, 100, whole.len() - 1] {
        std::fs::write(&bad, &whole[..len]).unwrap();
        let reason = message(convert(&bad, &dir.path().join("c.ckpt")));
        let expected = format!("{}: file: expected a whole safetensors file, found ", bad.display());
        assert!(reason.starts_with(&expected), "{reason}");
    }
}
