//! The sources of the kernels, as they are compiled for a device or for the emulation.

/// A file's place below `train/kernels/cuda`, and its text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KernelSource {
    pub path: &'static str,
    pub text: &'static str,
}

macro_rules! sources {
    ($($path:literal),* $(,)?) => {
        [$(KernelSource { path: $path, text: include_str!(concat!("../../cuda/", $path)) }),*]
    };
}

/// What kernels include.
pub(crate) const HEADERS: [KernelSource; 6] =
    sources!["bf16.h", "column_tile.h", "device.h", "dropout.h", "reduce.h", "tokenizer.h"];

/// Files with kernels, each a program of its own on a device.
pub(crate) const PROGRAMS: [KernelSource; 12] = sources![
    "adamw.cu",
    "attention.cu",
    "bias_gelu.cu",
    "branch.cu",
    "column_sums.cu",
    "copies.cu",
    "gather.cu",
    "layer_norm.cu",
    "loss.cu",
    "sequences.cu",
    "tokenizer_backward.cu",
    "tokenizer_forward.cu",
];

/// What the emulation is made of besides.
pub(crate) const EMULATION: [KernelSource; 6] = sources![
    "emulation/faulty.cu",
    "emulation/grid.cpp",
    "emulation/grid.h",
    "emulation/kernels.inc",
    "emulation/memory.h",
    "emulation/runner.cpp",
];

/// All programs as one text without includes: what a device's compiler is given.
#[cfg(any(test, feature = "cuda"))]
pub(crate) fn join_programs() -> String {
    let mut out = String::new();
    let mut known = std::collections::BTreeSet::new();
    PROGRAMS.iter().for_each(|program| insert_includes(program, &mut known, &mut out));
    out
}

/// Appends a file, each header where it is first included.
#[cfg(any(test, feature = "cuda"))]
fn insert_includes(
    source: &KernelSource,
    known: &mut std::collections::BTreeSet<&'static str>,
    out: &mut String,
) {
    for line in source.text.lines() {
        let included = line.strip_prefix("#include \"").and_then(|rest| rest.strip_suffix('"'));
        match included.and_then(|path| HEADERS.iter().find(|header| header.path == path)) {
            Some(header) if known.insert(header.path) => insert_includes(header, known, out),
            Some(_) => {}
            None if line.starts_with("#pragma once") => {}
            None => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_include_nothing_but_the_emulation_when_joined() {
        let joined = join_programs();
        let left: Vec<&str> = joined.lines().filter(|line| line.starts_with("#include")).collect();
        assert_eq!(left, ["#include \"emulation/grid.h\""], "which only the emulation reads");
        assert_eq!(joined.matches("struct Bf16 {").count(), 1);
        // The emulation runs every program.
        let all = EMULATION.iter().find(|source| source.path.ends_with("kernels.inc")).unwrap().text;
        let missing: Vec<_> = PROGRAMS.iter().filter(|program| !all.contains(program.path)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
