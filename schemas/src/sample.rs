//! One prepared sample: a normalised cloud with its groupings, the row of a `points` shard.

/// A prepared sample.
///
/// # Shapes
/// `S` stored points, `R` groupings of `N` points each, `G` groups (centers), `K` points a patch.
/// Arrays are flat and row-major; see the README of this crate for units and frames.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// Stable id, unique in the dataset.
    pub sample_id: String,
    /// Name of the dataset.
    pub dataset: String,
    /// Class name.
    pub category: Option<String>,
    /// Class number, an index into the manifest's class list.
    pub label: Option<i32>,
    /// `[S,3]` normalised coordinates.
    pub points: Vec<f32>,
    /// `[S,3]` unit normals.
    pub normals: Option<Vec<f32>>,
    /// `[S,3]` sRGB.
    pub colors: Option<Vec<u8>>,
    /// `[S]` return intensity.
    pub intensity: Option<Vec<f32>>,
    /// `[S]` part or semantic labels.
    pub point_labels: Option<Vec<i16>>,
    /// `[R,N]` indices into the cloud; absent when every grouping uses all stored points.
    pub subset: Option<Vec<u32>>,
    /// `[R,G]` indices into the cloud (voxel blocks: the point nearest to the centroid).
    pub center_indices: Vec<u32>,
    /// `[R,G,K]` indices into the cloud, each patch by (distance, index).
    pub patch_indices: Vec<u32>,
    /// `[R,G]` valid points of each voxel block; absent for kNN patches, which are always full.
    pub patch_counts: Option<Vec<u16>>,
    /// `[R,G,3]` centroids of voxel blocks; absent for kNN patches.
    pub centers: Option<Vec<f32>>,
    /// `[B,10]` annotated boxes in the cloud's frame: centre, edge lengths, rotation as w, x, y, z.
    pub boxes: Option<Vec<f32>>,
    /// `[B]` classes of the boxes, indices into the manifest's list.
    pub box_labels: Option<Vec<i16>>,
    /// Raw coordinates of the normalised origin: `raw = p * norm_scale + norm_center`.
    pub norm_center: [f64; 3],
    /// Raw length of one normalised unit.
    pub norm_scale: f64,
    /// Path of the source relative to the dataset's root.
    pub source: String,
    /// Hash of the source bytes.
    pub source_hash: String,
}

impl Sample {
    /// Number of stored points, `S`.
    pub fn len(&self) -> usize {
        self.points.len() / 3
    }

    /// Whether no point is stored.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }
}
