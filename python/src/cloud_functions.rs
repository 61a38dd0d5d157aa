//! Functions of clouds alone: farthest points, nearest neighbours, patches, voxel blocks. All clouds of a batch at once.

use jepa3d_grouping::{
    CellEdge, IndexedCloud, NeighborRows, NeighborSearch, VoxelBlocks, keep_neighborly, voxel_blocks,
};
use jepa3d_loader::{CloudGrouper, FreshGrouping, GroupingSize, GroupingStart};
use jepa3d_schemas::Draws;
use numpy::{PyReadonlyArray1, PyReadonlyArray3, PyUntypedArrayMethods};
use pyo3::prelude::*;
use rayon::prelude::*;

use crate::arrays::{Array, CloudBatch, shape_array};
use crate::errors::refuse;
use crate::threads::run_parallel;

/// Queries of one cloud that one thread answers; more are shared among threads.
const QUERIES: usize = 4096;

/// Marks places of an array of indices that hold none.
const NOTHING: i64 = -1;

type Indices<'py> = Array<'py, i64>;

fn name_cloud(at: usize, error: impl std::fmt::Display) -> String {
    format!("cloud {at}: {error}")
}

/// The point to start at: as given, or farthest from the centroid if negative.
fn choose_start(start: i64, points: &[[f32; 3]]) -> u32 {
    u32::try_from(start).unwrap_or_else(|_| jepa3d_grouping::farthest_from_centroid(points))
}

/// Farthest points: `counts [B]` of clouds `[B,N,3]`, from `starts [B]`, to `[B,K]`, padded by -1.
#[pyfunction]
pub(crate) fn fps<'py>(
    py: Python<'py>,
    clouds: PyReadonlyArray3<'py, f32>,
    lengths: PyReadonlyArray1<'py, i64>,
    counts: PyReadonlyArray1<'py, i64>,
    starts: PyReadonlyArray1<'py, i64>,
) -> PyResult<Indices<'py>> {
    let batch = CloudBatch::new(&clouds, &lengths)?;
    let (counts, starts) = (counts.as_slice().map_err(refuse)?, starts.as_slice().map_err(refuse)?);
    if counts.len() != batch.count || starts.len() != batch.count || counts.iter().any(|&k| k < 1) {
        return Err(refuse("expected a count of at least 1 and a start for every cloud"));
    }
    let width = counts.iter().copied().max().unwrap_or(1) as usize;
    let mut chosen = vec![NOTHING; batch.count * width];
    let found = run_parallel(py, || {
        let rows = chosen.par_chunks_mut(width).enumerate();
        rows.try_for_each_init(IndexedCloud::default, |index, (at, row)| {
            let points = batch.cloud(at);
            index.rebuild(points)?;
            let count = counts[at] as usize;
            let found = index.farthest_points(count, choose_start(starts[at], points))?;
            row.iter_mut().zip(found).for_each(|(place, point)| *place = i64::from(point));
            Ok(())
        })
        .map_err(|e: jepa3d_grouping::Error| e.to_string())
    })?;
    found.map_err(refuse)?;
    shape_array(py, chosen, &[clouds.shape()[0], width])
}

/// The nearest `k` points of queries `[B,M,3]` in clouds `[B,N,3]`: squared distances and indices `[B,M,k]`; where a cloud has
/// fewer, 0 fills up.
#[pyfunction]
pub(crate) fn knn<'py>(
    py: Python<'py>,
    queries: PyReadonlyArray3<'py, f32>,
    clouds: PyReadonlyArray3<'py, f32>,
    lengths: PyReadonlyArray1<'py, i64>,
    k: usize,
) -> PyResult<(Array<'py, f32>, Indices<'py>)> {
    let batch = CloudBatch::new(&clouds, &lengths)?;
    let (count, asked) = (queries.shape()[0], queries.shape()[1]);
    if count != batch.count || queries.shape()[2] != 3 || k == 0 || asked == 0 {
        let found = queries.shape();
        return Err(refuse(format!(
            "expected queries [{}, M, 3] and k of at least 1, found {found:?}",
            batch.count
        )));
    }
    let places = queries.as_slice().map_err(refuse)?.as_chunks::<3>().0;
    let mut distances = vec![0.0f32; count * asked * k];
    let mut indices = vec![0i64; count * asked * k];
    let found = run_parallel(py, || {
        let rows = distances.par_chunks_mut(asked * k).zip(indices.par_chunks_mut(asked * k)).enumerate();
        rows.try_for_each_init(NeighborSearch::default, |search, (at, (distances, indices))| {
            let places = &places[at * asked..][..asked];
            let laid_out = search.rebuild(batch.cloud(at), asked);
            let rows = NeighborRows { distances, indices };
            laid_out.and_then(|()| answer(search, places, k, rows)).map_err(|e| name_cloud(at, e))
        })
    })?;
    found.map_err(refuse)?;
    let shape = [count, asked, k];
    Ok((shape_array(py, distances, &shape)?, shape_array(py, indices, &shape)?))
}

/// Answers the queries of one cloud; many are shared among threads.
fn answer(
    search: &mut NeighborSearch,
    places: &[[f32; 3]],
    k: usize,
    rows: NeighborRows<'_>,
) -> jepa3d_grouping::Result<()> {
    if places.len() <= QUERIES {
        return search.write_nearest(places, k, rows);
    }
    let whole = &*search;
    let rows = rows.distances.par_chunks_mut(QUERIES * k).zip(rows.indices.par_chunks_mut(QUERIES * k));
    let shares = rows.zip(places.par_chunks(QUERIES));
    shares.try_for_each_init(
        || whole.clone(),
        |search, ((distances, indices), places)| {
            search.write_nearest(places, k, NeighborRows { distances, indices })
        },
    )
}

/// Which points of clouds `[B,N,3]` have neighbours as near as these have theirs, by `ratio`: `[B,N]`.
#[pyfunction]
pub(crate) fn neighborly<'py>(
    py: Python<'py>,
    clouds: PyReadonlyArray3<'py, f32>,
    lengths: PyReadonlyArray1<'py, i64>,
    ratio: f64,
) -> PyResult<Array<'py, bool>> {
    let batch = CloudBatch::new(&clouds, &lengths)?;
    let width = clouds.shape()[1];
    let mut stays = vec![false; batch.count * width];
    let found = run_parallel(py, || {
        stays.par_chunks_mut(width).enumerate().try_for_each(|(at, row)| {
            let kept = keep_neighborly(batch.cloud(at), ratio).map_err(|e| name_cloud(at, e))?;
            kept.into_iter().for_each(|i| row[i as usize] = true);
            Ok::<(), String>(())
        })
    })?;
    found.map_err(refuse)?;
    shape_array(py, stays, &[batch.count, width])
}

/// How large patches are, and how many.
#[derive(Clone, Copy, FromPyObject)]
pub(crate) struct PatchLetters(usize, usize, usize);

/// Patches of clouds `[B,S,3]`: of `letters` (N, G, K) the centers `[B,G]` and the patches `[B,G,K]`, as indices into the
/// clouds. Starts are canonical, or drawn from `seed`.
#[pyfunction]
#[pyo3(signature = (clouds, lengths, letters, seed=None))]
pub(crate) fn group<'py>(
    py: Python<'py>,
    clouds: PyReadonlyArray3<'py, f32>,
    lengths: PyReadonlyArray1<'py, i64>,
    letters: PatchLetters,
    seed: Option<u64>,
) -> PyResult<(Indices<'py>, Indices<'py>)> {
    let batch = CloudBatch::new(&clouds, &lengths)?;
    let PatchLetters(points, groups, group_size) = letters;
    if [points, groups, group_size].contains(&0) {
        return Err(refuse("points, groups and size: expected at least 1, found 0"));
    }
    let size = GroupingSize { points, groups, group_size };
    let mut centers = vec![0i64; batch.count * groups];
    let mut patches = vec![0i64; batch.count * groups * group_size];
    let found = run_parallel(py, || {
        let rows = centers.par_chunks_mut(groups).zip(patches.par_chunks_mut(groups * group_size));
        rows.enumerate().try_for_each_init(CloudGrouper::default, |grouper, (at, (centers, patches))| {
            let draws = seed.map(|seed| Draws::new(seed, &format!("cloud {at}"), "patches"));
            let found = grouper.group(batch.cloud(at), size, GroupingStart { draws }, |_| ());
            let FreshGrouping { subset, centers: of_centers, patches: of_patches, .. } =
                found.map_err(|e| name_cloud(at, e))?;
            let origin = |&index: &u32| i64::from(subset.get(index as usize).copied().unwrap_or(index));
            centers.iter_mut().zip(&of_centers).for_each(|(place, index)| *place = origin(index));
            patches.iter_mut().zip(&of_patches).for_each(|(place, index)| *place = origin(index));
            Ok(())
        })
    })?;
    found.map_err(|e: String| refuse(e))?;
    let count = clouds.shape()[0];
    Ok((shape_array(py, centers, &[count, groups])?, shape_array(py, patches, &[count, groups, group_size])?))
}

/// How many voxel blocks, how many points each, and the edge of their cells (none: as wide as gives enough).
#[derive(Clone, Copy, FromPyObject)]
pub(crate) struct VoxelLetters(usize, usize, Option<f64>);

/// The arrays of voxel blocks: center indices `[B,G]`, centers `[B,G,3]`, patch indices `[B,G,K]`, counts `[B,G]`, edges `[B]`.
type VoxelArrays<'py> = (Indices<'py>, Array<'py, f32>, Indices<'py>, Indices<'py>, Array<'py, f64>);

/// Voxel blocks of clouds `[B,N,3]`; where a cloud has fewer than `G`, counts are 0.
#[pyfunction]
pub(crate) fn voxels<'py>(
    py: Python<'py>,
    clouds: PyReadonlyArray3<'py, f32>,
    lengths: PyReadonlyArray1<'py, i64>,
    letters: VoxelLetters,
) -> PyResult<VoxelArrays<'py>> {
    let batch = CloudBatch::new(&clouds, &lengths)?;
    let VoxelLetters(groups, size, edge) = letters;
    if groups == 0 || size == 0 {
        return Err(refuse("groups and size: expected at least 1, found 0"));
    }
    let edge = edge.map_or(CellEdge::Auto, CellEdge::Fixed);
    let found = run_parallel(py, || {
        let clouds = (0..batch.count).into_par_iter();
        let blocks =
            clouds.map(|at| voxel_blocks(batch.cloud(at), groups, size, edge).map_err(|e| name_cloud(at, e)));
        blocks.collect::<Result<Vec<_>, String>>()
    })?;
    lay_out(py, &found.map_err(refuse)?, size)
}

/// Blocks of clouds as arrays of the most that one of them has.
fn lay_out<'py>(py: Python<'py>, found: &[VoxelBlocks], size: usize) -> PyResult<VoxelArrays<'py>> {
    let count = found.len();
    let most = found.iter().map(|blocks| blocks.counts.len()).max().unwrap_or(1).max(1);
    let (mut center_indices, mut centers) = (vec![NOTHING; count * most], vec![0.0f32; count * most * 3]);
    let (mut patches, mut counts) = (vec![0i64; count * most * size], vec![0i64; count * most]);
    for (at, blocks) in found.iter().enumerate() {
        let first = at * most;
        write_indices(&mut center_indices[first..], &blocks.center_indices);
        write_indices(&mut patches[first * size..], &blocks.patch_indices);
        write_indices(&mut counts[first..], &blocks.counts);
        let flat = blocks.centers.as_flattened();
        centers[first * 3..][..flat.len()].copy_from_slice(flat);
    }
    let edges = found.iter().map(|blocks| blocks.edge).collect();
    Ok((
        shape_array(py, center_indices, &[count, most])?,
        shape_array(py, centers, &[count, most, 3])?,
        shape_array(py, patches, &[count, most, size])?,
        shape_array(py, counts, &[count, most])?,
        shape_array(py, edges, &[count])?,
    ))
}

fn write_indices<T: Copy + Into<i64>>(places: &mut [i64], values: &[T]) {
    places.iter_mut().zip(values).for_each(|(place, &value)| *place = value.into());
}
