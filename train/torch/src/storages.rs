//! The bytes behind the tensors of a PyTorch file: entries of a zip archive, or runs of a plain file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;

use jepa3d_schemas::{Error as DataError, open_regular};
use zip::{CompressionMethod, ZipArchive};

use crate::error::Result;
use crate::pickle::{Fault, Pickled, Value, unpickle};
use crate::tensors::element_of_class;

/// Bytes of a pickle: names and hyper-parameters, never the tensors.
const LONGEST_PICKLE: u64 = 1 << 26;

/// The start of a file as PyTorch wrote it before version 1.6: a pickle of a magic number.
const OLD_MAGIC: &[u8] = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";

/// An open PyTorch file.
pub(crate) struct Storages<'a> {
    path: &'a Path,
    file_len: u64,
    source: StorageSource,
}

enum StorageSource {
    /// Entries `<folder>data/<key>`.
    Zip { archive: ZipArchive<File>, folder: String },
    /// Bytes of a plain file, by key.
    Plain { file: File, runs: BTreeMap<String, Range<u64>> },
}

/// Opens a file written by `torch.save`: its outermost value and its storages.
///
/// # Errors
/// Fails if the file is neither a zip archive with a `data.pkl` nor of the older plain format, is
/// cut short, compressed or big-endian, or its pickle is malformed.
pub(crate) fn open(path: &Path) -> Result<(Pickled, Storages<'_>)> {
    let io = |e| DataError::io(path, e);
    let mut file = open_regular(path).map_err(io)?;
    let file_len = file.metadata().map_err(io)?.len();
    let mut start = Vec::new();
    file.by_ref().take(OLD_MAGIC.len() as u64).read_to_end(&mut start).map_err(io)?;
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    if start == OLD_MAGIC {
        let (pickled, source) = open_plain(path, file)?;
        return Ok((pickled, Storages { path, file_len, source }));
    }
    if !start.starts_with(b"PK") {
        let found = match start.is_empty() {
            true => "an empty file".to_owned(),
            false => format!("bytes that begin with {:02x?}", &start[..start.len().min(4)]),
        };
        return Err(DataError::contract(path, "file", "what torch.save writes", found).into());
    }
    let archive = ZipArchive::new(file)
        .map_err(|e| DataError::contract(path, "file", "a whole zip archive, as torch.save writes", e))?;
    let folder = find_folder(path, &archive)?;
    let mut storages = Storages { path, file_len, source: StorageSource::Zip { archive, folder } };
    let pickled = storages.read_pickle()?;
    Ok((pickled, storages))
}

/// The folder of `data.pkl` within the archive, with its slash.
fn find_folder(path: &Path, archive: &ZipArchive<File>) -> Result<String> {
    let of_pickle = |name: &str| Some(name.strip_suffix("data.pkl")?.to_owned());
    let is_folder = |folder: &String| folder.is_empty() || folder.ends_with('/');
    let names = archive.file_names().filter_map(|name| name.ok());
    let mut folders: Vec<String> = names.filter_map(|name| of_pickle(&name)).filter(is_folder).collect();
    folders.sort_by_key(|folder| (folder.len(), folder.clone()));
    let Some(folder) = folders.into_iter().next() else {
        let found = format!("a zip archive of {} other entries", archive.len());
        return Err(
            DataError::contract(path, "file", "an entry data.pkl, as torch.save writes", found).into()
        );
    };
    if archive.index_for_name(&format!("{folder}constants.pkl")).is_some() {
        let expected = "a checkpoint of torch.save";
        return Err(DataError::contract(path, "file", expected, "a TorchScript program").into());
    }
    Ok(folder)
}

impl Storages<'_> {
    /// Length of the file, in bytes.
    pub(crate) fn file_len(&self) -> u64 {
        self.file_len
    }

    /// The bytes of the storage `key`.
    pub(crate) fn read(&mut self, key: &str) -> Result<Vec<u8>> {
        let missing = || DataError::contract(self.path, "storages", format!("one of key {key:?}"), "none");
        match &mut self.source {
            StorageSource::Zip { folder, .. } => {
                let name = format!("{folder}data/{key}");
                self.read_entry(&name, u64::MAX)?.ok_or_else(|| missing().into())
            }
            StorageSource::Plain { file, runs } => {
                let run = runs.get(key).ok_or_else(missing)?;
                let mut bytes = vec![0; (run.end - run.start) as usize];
                file.seek(SeekFrom::Start(run.start))
                    .and_then(|_| file.read_exact(&mut bytes))
                    .map_err(|e| DataError::io(self.path, e))?;
                Ok(bytes)
            }
        }
    }

    /// The pickle of a zip archive, which must be little-endian.
    fn read_pickle(&mut self) -> Result<Pickled> {
        let StorageSource::Zip { folder, .. } = &self.source else {
            unreachable!("plain files hold several pickles")
        };
        let (order, pickle) = (format!("{folder}byteorder"), format!("{folder}data.pkl"));
        if let Some(order) = self.read_entry(&order, 64)?
            && order != b"little"
        {
            let found = String::from_utf8_lossy(&order).into_owned();
            return Err(DataError::contract(self.path, "byteorder", "little", found).into());
        }
        let missing = || DataError::contract(self.path, "file", "an entry data.pkl", "none");
        let bytes = self.read_entry(&pickle, LONGEST_PICKLE)?.ok_or_else(missing)?;
        unpickle(&bytes).map_err(|fault| locate(self.path, "data.pkl", 0, fault))
    }

    /// The bytes of an entry, if there is one. Entries are stored plainly, so none is longer than the file.
    fn read_entry(&mut self, name: &str, most: u64) -> Result<Option<Vec<u8>>> {
        let StorageSource::Zip { archive, .. } = &mut self.source else { return Ok(None) };
        let what = |name: &str| format!("entry {name:?}");
        let contract =
            |expected: &str, found: String| DataError::contract(self.path, what(name), expected, found);
        let Some(index) = archive.index_for_name(name) else { return Ok(None) };
        let mut entry = archive.by_index(index).map_err(|e| contract("a whole entry", e.to_string()))?;
        if entry.compression() != CompressionMethod::Stored {
            return Err(contract("stored bytes", format!("{:?} ones", entry.compression())).into());
        }
        let most = most.min(self.file_len);
        if entry.size() > most {
            return Err(contract(&format!("at most {most} bytes"), entry.size().to_string()).into());
        }
        let mut bytes = Vec::with_capacity(entry.size() as usize);
        entry.read_to_end(&mut bytes).map_err(|e| contract("a whole entry", e.to_string()))?;
        Ok(Some(bytes))
    }
}

/// The older format: pickles of magic number, version, machine, value and keys; then the storages.
fn open_plain(path: &Path, mut file: File) -> Result<(Pickled, StorageSource)> {
    let io = |e| DataError::io(path, e);
    let mut head = Vec::new();
    file.by_ref().take(LONGEST_PICKLE).read_to_end(&mut head).map_err(io)?;
    let mut at = 0;
    let mut next = |what: &str| {
        let pickled = unpickle(&head[at..]).map_err(|fault| locate(path, what, at, fault))?;
        at += pickled.read();
        Ok::<Pickled, crate::Error>(pickled)
    };
    let (_magic, _version, machine) = (next("magic number")?, next("version")?, next("machine")?);
    if machine.entry(machine.root(), "little_endian") == Some(&Value::Bool(false)) {
        return Err(DataError::contract(path, "byteorder", "little", "big").into());
    }
    let (pickled, keys) = (next("pickle")?, next("keys")?);
    let classes =
        pickled.storages().map(|storage| (storage.key.to_string(), storage.class.clone())).collect();
    let runs = find_runs(path, &mut file, at as u64, &keys, &classes)?;
    Ok((pickled, StorageSource::Plain { file, runs }))
}

/// Where the storages of a plain file lie, which follow each other from `at`: a count, the elements.
fn find_runs(
    path: &Path,
    file: &mut File,
    mut at: u64,
    keys: &Pickled,
    classes: &BTreeMap<String, Rc<str>>,
) -> Result<BTreeMap<String, Range<u64>>> {
    let Value::List(list) = keys.root() else {
        return Err(DataError::contract(path, "keys", "a list", keys.root().kind()).into());
    };
    let len = file.metadata().map_err(|e| DataError::io(path, e))?.len();
    let mut runs = BTreeMap::new();
    for &id in list {
        let Value::Text(key) = keys.get(id) else {
            return Err(DataError::contract(path, "keys", "strings", keys.get(id).kind()).into());
        };
        let what = format!("storage {key}");
        let class = classes.get(&**key).map_or("none", |class| class);
        let Some(element) = element_of_class(class) else {
            return Err(DataError::contract(path, what, "elements of a known type", class).into());
        };
        let mut count = [0; 8];
        file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut count)).map_err(|_| {
            DataError::contract(path, what.clone(), "its size", format!("the end of the file, at {len}"))
        })?;
        let count = u64::from_le_bytes(count);
        let end = count.checked_mul(element.size() as u64).and_then(|bytes| bytes.checked_add(at + 8));
        let Some(end) = end.filter(|&end| end <= len) else {
            let found = format!("{} bytes to the end of the file", len - at - 8);
            return Err(DataError::contract(path, what, format!("{count} elements"), found).into());
        };
        runs.insert(key.to_string(), at + 8..end);
        at = end;
    }
    Ok(runs)
}

/// The error of a malformed pickle that begins at `start`.
fn locate(path: &Path, what: &str, start: usize, fault: Fault) -> crate::Error {
    let what = format!("{what}, byte {}", start + fault.at);
    DataError::contract(path, what, fault.expected, fault.found).into()
}
