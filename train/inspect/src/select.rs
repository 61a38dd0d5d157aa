//! Which samples are looked at, and reading them with their views, row group by row group.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jepa3d_schemas::{
    CATALOG_FILE, CatalogRow, Manifest, Sample, ShardEntry, ShardReader, Table, View, ViewGroup, ViewReader,
    read_catalog,
};

use crate::error::{Error, Result};

/// Ids that the error about an unknown sample names.
const LIKE: usize = 3;

/// What to look at.
#[derive(Clone, Debug)]
pub struct Query {
    /// Only this sample.
    pub sample: Option<String>,
    /// Only this split.
    pub split: Option<String>,
    /// At most this many samples, evenly spread over the dataset. Default 8.
    pub limit: usize,
    /// The grouping whose patches are shown, below `R`. Default 0, the canonical one.
    pub grouping: usize,
}

impl Default for Query {
    fn default() -> Self {
        Self { sample: None, split: None, limit: 8, grouping: 0 }
    }
}

/// A sample with its views.
#[derive(Clone, Debug, PartialEq)]
pub struct Specimen {
    /// Number within the selection, from 0.
    pub index: usize,
    /// The split it belongs to.
    pub split: String,
    /// The row of `points/`.
    pub sample: Sample,
    /// The rows of `views/`, empty without views.
    pub views: Vec<View>,
}

/// Rows of one shard, ascending.
struct Picks {
    file: String,
    split: String,
    rows: Vec<usize>,
}

/// Samples of a prepared dataset, not yet read.
pub struct Selection {
    folder: PathBuf,
    manifest: Manifest,
    picks: Vec<Picks>,
    grouping: usize,
    /// Files that are those that were prepared; compared once, before anything of them is decoded.
    checked: RefCell<BTreeSet<String>>,
}

impl Selection {
    /// Finds the samples of `folder` that `query` asks for.
    ///
    /// # Errors
    /// Fails if the folder holds no complete prepared dataset, there is no such sample or split,
    /// the limit is 0, or the grouping is not below `R`.
    pub fn new(folder: &Path, query: &Query) -> Result<Self> {
        let manifest = Manifest::read(folder)?;
        if query.limit == 0 {
            return Err(range("limit", "at least 1", 0));
        }
        if query.grouping >= manifest.shape.R.max(1) {
            return Err(range("grouping", &format!("below R = {}", manifest.shape.R), query.grouping));
        }
        let (folder, picks, checked) = (folder.to_owned(), Vec::new(), RefCell::default());
        let mut selection = Self { folder, manifest, picks, grouping: query.grouping, checked };
        selection.check_split(query.split.as_deref())?;
        selection.picks = match &query.sample {
            Some(id) => vec![selection.find(id, query.split.as_deref())?],
            None => selection.spread(query),
        };
        Ok(selection)
    }

    /// Finds some samples of `folder` by their ids, in the order in which they are stored.
    ///
    /// # Errors
    /// Fails if the folder holds no complete prepared dataset, or there is no such sample, or it was not written.
    pub(crate) fn with_ids(folder: &Path, ids: &BTreeSet<String>) -> Result<Self> {
        let manifest = Manifest::read(folder)?;
        let (folder, checked) = (folder.to_owned(), RefCell::default());
        let mut selection = Self { folder, manifest, picks: Vec::new(), grouping: 0, checked };
        let mut missing = ids.clone();
        for shard in selection.manifest.shards.clone() {
            let path = selection.check(&selection.manifest.shards, &shard.file)?;
            let found = ids_of(&ShardReader::open(&path)?)?;
            let rows: Vec<usize> = (0..found.len()).filter(|&row| missing.remove(&found[row])).collect();
            if !rows.is_empty() {
                selection.picks.push(Picks { file: shard.file, split: shard.split, rows });
            }
        }
        match missing.first() {
            // It is nowhere, or quarantined: the search for one sample says which.
            Some(id) => selection.find(id, None).map(|_| selection),
            None => Ok(selection),
        }
    }

    /// The manifest of the dataset.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The folder of the dataset.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The grouping whose patches are shown.
    pub fn grouping(&self) -> usize {
        self.grouping
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.picks.iter().map(|picks| picks.rows.len()).sum()
    }

    /// Whether no sample is selected.
    pub fn is_empty(&self) -> bool {
        self.picks.is_empty()
    }

    /// Whether the dataset has views at all.
    pub fn has_views(&self) -> bool {
        self.manifest.views.is_some()
    }

    /// Reads the samples one after the other; a row group is in memory at a time.
    ///
    /// # Errors
    /// Fails if a shard cannot be read or is not the one that was prepared, or `visit` fails.
    pub fn visit(&self, visit: &mut dyn FnMut(&Specimen) -> Result<()>) -> Result<()> {
        self.visit_picks(&self.picks, true, visit)
    }

    /// The same without views.
    ///
    /// # Errors
    /// Fails as [`Self::visit`] does.
    pub(crate) fn visit_clouds(&self, visit: &mut dyn FnMut(&Specimen) -> Result<()>) -> Result<()> {
        self.visit_picks(&self.picks, false, visit)
    }

    /// Reads one sample of the dataset, selected or not.
    ///
    /// # Errors
    /// Fails as [`Selection::visit`] does, and if there is no such sample.
    #[cfg_attr(not(feature = "rerun"), allow(dead_code, reason = "recordings that grow read single samples"))]
    pub(crate) fn read_sample(&self, id: &str) -> Result<Specimen> {
        let mut found = None;
        self.visit_picks(&[self.find(id, None)?], true, &mut |specimen| {
            found = Some(specimen.clone());
            Ok(())
        })?;
        found.ok_or_else(|| self.no_sample(id, Vec::new()))
    }

    fn visit_picks(
        &self,
        picks: &[Picks],
        is_with_views: bool,
        visit: &mut dyn FnMut(&Specimen) -> Result<()>,
    ) -> Result<()> {
        let mut index = 0;
        for picks in picks {
            let mut views = if is_with_views { self.open_views(&picks.file)? } else { None };
            for_each_group(&self.check(&self.manifest.shards, &picks.file)?, &picks.rows, &mut |sample| {
                let views =
                    views.as_mut().map_or(Ok(Vec::new()), |index| index.views_of(&sample.sample_id))?;
                visit(&Specimen { index, split: picks.split.clone(), sample, views })?;
                index += 1;
                Ok(())
            })?;
        }
        Ok(())
    }

    /// The views that belong to a points shard, `None` if the dataset has none.
    fn open_views(&self, file: &str) -> Result<Option<ViewIndex>> {
        let Some(views) = &self.manifest.views else { return Ok(None) };
        let file = Table::Views.file_beside(file);
        let is_listed = views.shards.iter().any(|shard| shard.file == file);
        is_listed.then(|| ViewIndex::open(&self.check(&views.shards, &file)?)).transpose()
    }

    /// The path of a listed file, which is the one that was prepared.
    fn check(&self, shards: &[ShardEntry], file: &str) -> Result<PathBuf> {
        if let Some(entry) = shards.iter().find(|entry| entry.file == file)
            && !self.checked.borrow().contains(file)
        {
            entry.check_file(&self.folder)?;
            self.checked.borrow_mut().insert(file.to_owned());
        }
        Ok(self.folder.join(file))
    }

    fn check_split(&self, split: Option<&str>) -> Result<()> {
        let Some(split) = split else { return Ok(()) };
        if self.manifest.shards.iter().any(|shard| shard.split == split && shard.rows > 0) {
            return Ok(());
        }
        let splits = self.manifest.splits.iter().filter(|(_, counts)| counts.written > 0);
        Err(Error::NoSplit {
            folder: self.folder.clone(),
            split: split.to_owned(),
            splits: splits.map(|(name, _)| name.clone()).collect(),
        })
    }

    /// `limit` rows, evenly spread over the shards of the split.
    fn spread(&self, query: &Query) -> Vec<Picks> {
        let is_wanted = |split: &str| query.split.as_deref().is_none_or(|wanted| wanted == split);
        let shards = || self.manifest.shards.iter().filter(|shard| is_wanted(&shard.split));
        let total: usize = shards().map(|shard| shard.rows).sum();
        let count = query.limit.min(total);
        let mut wanted = (0..count).map(|i| i * total / count).peekable();
        let (mut picks, mut start) = (Vec::new(), 0);
        for shard in shards() {
            let end = start + shard.rows;
            let mut rows = Vec::new();
            while let Some(row) = wanted.next_if(|&row| row < end) {
                rows.push(row - start);
            }
            if !rows.is_empty() {
                picks.push(Picks { file: shard.file.clone(), split: shard.split.clone(), rows });
            }
            start = end;
        }
        picks
    }

    /// The one row of a sample; only the ids of the shards of its split are read.
    fn find(&self, id: &str, split: Option<&str>) -> Result<Picks> {
        let catalog = read_catalog(&self.folder.join(CATALOG_FILE))?;
        let is_wanted = |row: &&CatalogRow| split.is_none_or(|split| row.split == split);
        let row = catalog.iter().filter(is_wanted).find(|row| row.id == id);
        let Some(row) = row else {
            let written = catalog.iter().filter(is_wanted).filter(|row| row.status == "written");
            return Err(self.no_sample(id, written.map(|row| row.id.as_str()).collect()));
        };
        if row.status != "written" {
            let (folder, stage) = (self.folder.clone(), row.status.clone());
            return Err(Error::Quarantined { folder, id: id.to_owned(), stage });
        }
        for shard in self.manifest.shards.iter().filter(|shard| shard.split == row.split) {
            let path = self.check(&self.manifest.shards, &shard.file)?;
            if let Some(row) = row_of(&ShardReader::open(&path)?, id)? {
                return Ok(Picks { file: shard.file.clone(), split: shard.split.clone(), rows: vec![row] });
            }
        }
        Err(self.no_sample(id, vec![]))
    }

    fn no_sample(&self, id: &str, ids: Vec<&str>) -> Error {
        let total = ids.len();
        let mut near: Vec<(usize, &str)> =
            ids.into_iter().map(|other| (strsim::levenshtein(id, other), other)).collect();
        near.sort_unstable();
        let like = near.iter().take(LIKE).map(|(_, other)| (*other).to_owned()).collect();
        Error::NoSample { folder: self.folder.clone(), id: id.to_owned(), total, like }
    }
}

fn range(what: &'static str, expected: &str, found: usize) -> Error {
    Error::Range { what, expected: expected.to_owned(), found: found.to_string() }
}

/// Row of a sample in a shard.
fn row_of(reader: &ShardReader, id: &str) -> Result<Option<usize>> {
    Ok(ids_of(reader)?.iter().position(|other| other == id))
}

/// The samples of a shard, in order.
fn ids_of(reader: &ShardReader) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    for group in 0..reader.row_groups() {
        ids.extend(reader.read_row_group(group, &["sample_id"])?.sample_id.unwrap_or_default());
    }
    Ok(ids)
}

/// Decodes the wanted rows of a shard, in order.
fn for_each_group(path: &Path, rows: &[usize], visit: &mut dyn FnMut(Sample) -> Result<()>) -> Result<()> {
    let reader = ShardReader::open(path)?;
    let (mut start, mut rows) = (0, rows.iter().peekable());
    for group in 0..reader.row_groups() {
        let end = start + reader.rows_of(group);
        if rows.peek().is_some_and(|&&row| row < end) {
            let columns = reader.read_row_group(group, &[])?;
            while let Some(row) = rows.next_if(|&&row| row < end) {
                visit(columns.sample(row - start).expect("all columns were read"))?;
            }
        }
        start = end;
    }
    Ok(())
}

/// A views shard, and which of its row groups holds the views of which sample.
struct ViewIndex {
    reader: ViewReader,
    ids: Vec<Vec<String>>,
    /// The row group read last, which the next sample is likely to share.
    last: Option<(usize, ViewGroup)>,
}

impl ViewIndex {
    fn open(path: &Path) -> Result<Self> {
        let reader = ViewReader::open(path)?;
        let groups = 0..reader.row_groups();
        let ids = groups
            .map(|group| Ok(reader.read_row_group(group, &["sample_id"])?.sample_id.unwrap_or_default()));
        Ok(Self { ids: ids.collect::<Result<_>>()?, reader, last: None })
    }

    /// The views of a sample, none if it has none.
    fn views_of(&mut self, id: &str) -> Result<Vec<View>> {
        let Some(group) = self.ids.iter().position(|ids| ids.iter().any(|other| other == id)) else {
            return Ok(Vec::new());
        };
        if self.last.as_ref().is_none_or(|(last, _)| *last != group) {
            self.last = Some((group, self.reader.read_row_group(group, &[])?));
        }
        let Some((_, columns)) = &self.last else { return Ok(Vec::new()) };
        let rows = (0..columns.rows).filter(|&row| self.ids[group][row] == id);
        Ok(rows.map(|row| columns.view(row).expect("all columns were read")).collect())
    }
}
