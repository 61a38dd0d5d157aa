//! The campaign: what damage, hostile files, kills and other processes do to the real `jepa3d`, tried from outside.
//!
//! One module a kind of trouble; every test is ignored, because each starts the binary hundreds of times. `make test-hostile`
//! runs those of damaged and hostile files, `make test-kill` those that kill. Only the standard library is used, so that the
//! campaign also runs against another binary, which `JEPA3D_BIN` names.

#![allow(clippy::unwrap_used, reason = "helpers beside the tests unwrap as they do")]

mod archives;
mod bombs;
mod companions;
mod concurrency;
mod damage;
mod files;
mod findings;
mod fixture;
mod flips;
mod harness;
mod inputs;
mod kills;
mod limits;
mod manifest_text;
mod manifests;
mod mutations;
mod records;
mod runs;
mod syscall_kills;
