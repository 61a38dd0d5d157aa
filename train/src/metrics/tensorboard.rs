//! TensorBoard event files, written by hand: TFRecord frames around `Event` messages.
//!
//! A frame is the length (u64), its checksum, the message, its checksum; the checksum is CRC-32C,
//! rotated and offset ("masked"). The few protobuf fields needed are written out below, so no
//! protobuf compiler is. Each start of a run has a file of its own, that begins with the
//! `SessionLog` by which TensorBoard drops what an earlier start wrote for the same steps.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use jepa3d_schemas::Error as DataError;

use super::Scalars;
use super::crc32c::crc32c;
use crate::error::Result;

/// An open event file.
#[derive(Debug)]
pub(super) struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// Creates a new file in `run`, for steps from `first_step` on.
    pub(super) fn create(run: &Path, first_step: u64) -> Result<Self> {
        let now = wall_time();
        let (path, mut file) = new_file(run, now)?;
        let version = [double(1, now), bytes(3, b"brain.Event:2")].concat();
        // SessionLog { status: START }: later steps of earlier files are not shown.
        let start = [double(1, now), varint(2, first_step), bytes(7, &varint(1, 1))].concat();
        let records = [record(&version), record(&start)].concat();
        file.write_all(&records).map_err(|e| DataError::io(&path, e))?;
        Ok(Self { path, file })
    }

    /// Appends the scalars of a step, as one message.
    pub(super) fn write(&mut self, scalars: &Scalars) -> Result<()> {
        let event = event(wall_time(), scalars);
        Ok(self.file.write_all(&record(&event)).map_err(|e| DataError::io(&self.path, e))?)
    }

    pub(super) fn sync(&mut self) -> Result<()> {
        Ok(self.file.sync_data().map_err(|e| DataError::io(&self.path, e))?)
    }
}

/// A file that did not exist; TensorBoard reads the files of a folder in the order of their names.
fn new_file(run: &Path, now: f64) -> Result<(PathBuf, File)> {
    let mut second = now as u64;
    loop {
        let path = run.join(format!("events.out.tfevents.{second:010}.jepa3d.{}.0", std::process::id()));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => second += 1,
            Err(error) => return Err(DataError::io(&path, error).into()),
        }
    }
}

fn wall_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// `Event { wall_time, step, summary: Summary { value: [Value { tag, simple_value }] } }`.
fn event(now: f64, scalars: &Scalars) -> Vec<u8> {
    let value = |name: &str, x: f64| bytes(1, &[bytes(1, name.as_bytes()), float(2, x as f32)].concat());
    let summary: Vec<u8> = scalars.values.iter().flat_map(|&(name, x)| value(name, x)).collect();
    [double(1, now), varint(2, scalars.step), bytes(5, &summary)].concat()
}

/// A message with its length and checksums.
fn record(message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u64).to_le_bytes();
    let mut out = Vec::with_capacity(message.len() + 16);
    out.extend(length);
    out.extend(masked(crc32c(&length)).to_le_bytes());
    out.extend(message);
    out.extend(masked(crc32c(message)).to_le_bytes());
    out
}

fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Protobuf: field number and wire type.
fn key(field: u8, wire: u8) -> u8 {
    field << 3 | wire
}

fn varint(field: u8, value: u64) -> Vec<u8> {
    let mut out = vec![key(field, 0)];
    push_varint(&mut out, value);
    out
}

fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn double(field: u8, value: f64) -> Vec<u8> {
    [&[key(field, 1)][..], &value.to_le_bytes()].concat()
}

fn float(field: u8, value: f32) -> Vec<u8> {
    [&[key(field, 5)][..], &value.to_le_bytes()].concat()
}

fn bytes(field: u8, value: &[u8]) -> Vec<u8> {
    let mut out = vec![key(field, 2)];
    push_varint(&mut out, value.len() as u64);
    out.extend(value);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frame and message as `tensorboard`'s own writer makes them (`tensorboard_check.py golden`).
    #[test]
    fn bytes_of_the_tensorboard_writer() {
        let scalars = Scalars { step: 300, epoch: 0.0, values: vec![("loss", 0.25), ("probe/knn20", -1.5)] };
        let hex: String = record(&event(1.5e9, &scalars)).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, GOLDEN);
    }

    const GOLDEN: &str = "2f000000000000006d5d1d5009000000c00b5ad64110ac022a210a0b0a046c6f7373150000803e0a120a0b70726f6265\
                          2f6b6e6e3230150000c0bfb917927c";

    #[test]
    fn starts_of_one_second_have_files_of_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let names: Vec<PathBuf> = (0..3).map(|_| new_file(dir.path(), 1e9).unwrap().0).collect();
        assert!(names.is_sorted() && names[0] != names[1] && names[1] != names[2], "{names:?}");
    }
}
