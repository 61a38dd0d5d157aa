//! A checkpoint of PyTorch to ours and back, by the command line.

use std::path::Path;

use super::harness::{jepa3d, text};

#[test]
fn there_and_back() {
    let dir = tempfile::tempdir().unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("train/torch/goldens/lightning.ckpt");
    let (ours, theirs) = (dir.path().join("a.safetensors"), dir.path().join("a.ckpt"));
    let (golden, ours, theirs) = (text(&golden), text(&ours), text(&theirs));
    let report = jepa3d(&["convert", golden, "--to", ours, "--json"]).expect(0).json();
    assert_eq!((&report["tensors"], &report["sizes"]["width"]), (&100.into(), &8.into()));
    let run = jepa3d(&["convert", ours, "--to", theirs]).expect(0);
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(lines[0], format!("wrote {theirs}: 126 tensors"));
    assert!(lines[1].starts_with("encoder ") && lines[1].ends_with("width 8, 2 blocks"), "{}", lines[1]);
    assert_eq!(lines[3], "26 tensors added: teacher.online_model.*, the encoder once more");
    assert_eq!((lines.len(), run.stderr.as_str()), (4, ""));
    let run = jepa3d(&["convert", theirs, "--to", golden]).expect(2);
    assert_eq!(
        run.stderr,
        format!("error: {golden}: name: expected one ending in .safetensors, found .ckpt\n")
    );
    std::fs::write(theirs, "not a checkpoint").unwrap();
    let run = jepa3d(&["convert", theirs, "--to", ours]).expect(2);
    let found = "bytes that begin with [6e, 6f, 74, 20]";
    assert_eq!(
        run.stderr,
        format!("error: {theirs}: file: expected what torch.save writes, found {found}\n")
    );
}
