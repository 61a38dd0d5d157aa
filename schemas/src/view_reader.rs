//! Reads `views` shards row group by row group, only the columns asked for.

use parquet::data_type::{DoubleType, FloatType, Int32Type};
use parquet::errors::ParquetError;

use crate::camera::Camera;
use crate::columns::Table;
use crate::shard_file::{ListColumn, Rows, Source, TableReader};
use crate::view::{Correspondences, View};
use crate::view_columns::view_column_names;

/// The columns of one row group; those not asked for stay `None`.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs, reason = "the fields are the columns documented at View and in the README")]
pub struct ViewGroup {
    pub rows: usize,
    pub sample_id: Option<Vec<String>>,
    pub view: Option<Vec<u16>>,
    pub name: Option<Vec<String>>,
    pub image: Option<Vec<Vec<u8>>>,
    pub width: Option<Vec<u32>>,
    pub height: Option<Vec<u32>>,
    pub fx: Option<Vec<f64>>,
    pub fy: Option<Vec<f64>>,
    pub cx: Option<Vec<f64>>,
    pub cy: Option<Vec<f64>>,
    pub camera_from_world: Option<ListColumn<f64>>,
    pub depth: Option<Vec<Option<Vec<u8>>>>,
    pub depth_scale: Option<Vec<f64>>,
    pub corr_point: Option<ListColumn<u32>>,
    pub corr_u: Option<ListColumn<f32>>,
    pub corr_v: Option<ListColumn<f32>>,
    pub corr_depth: Option<ListColumn<f32>>,
    pub pixel_point: Option<Vec<Option<Vec<u32>>>>,
}

/// The columns that make a [`Camera`].
pub const CAMERA_COLUMNS: [&str; 7] = ["width", "height", "fx", "fy", "cx", "cy", "camera_from_world"];

/// An open `views` shard.
pub type ViewReader = TableReader<ViewGroup>;

impl Rows for ViewGroup {
    const TABLE: Table = Table::Views;

    fn decode(source: &Source<'_>, wanted: &dyn Fn(&str) -> bool) -> Result<Self, ParquetError> {
        let mut out = Self { rows: source.rows, ..Self::default() };
        let unsigned = |i| -> Result<Vec<u32>, ParquetError> {
            Ok(source.numbers::<Int32Type>(i)?.into_iter().map(|x| x as u32).collect())
        };
        for (i, (name, _)) in view_column_names().enumerate().filter(|(_, (name, _))| wanted(name)) {
            match name {
                "sample_id" => out.sample_id = Some(source.text(i)?),
                "view" => out.view = Some(unsigned(i)?.into_iter().map(|x| x as u16).collect()),
                "name" => out.name = Some(source.text(i)?),
                "image" => out.image = Some(source.bytes(i)?.into_iter().flatten().collect()),
                "width" => out.width = Some(unsigned(i)?),
                "height" => out.height = Some(unsigned(i)?),
                "fx" => out.fx = Some(source.numbers::<DoubleType>(i)?),
                "fy" => out.fy = Some(source.numbers::<DoubleType>(i)?),
                "cx" => out.cx = Some(source.numbers::<DoubleType>(i)?),
                "cy" => out.cy = Some(source.numbers::<DoubleType>(i)?),
                "camera_from_world" => out.camera_from_world = Some(source.list::<DoubleType>(i)?),
                "depth" => out.depth = Some(source.bytes(i)?),
                "depth_scale" => out.depth_scale = Some(source.numbers::<DoubleType>(i)?),
                "corr_point" => out.corr_point = Some(source.indices(i)?),
                "corr_u" => out.corr_u = Some(source.list::<FloatType>(i)?),
                "corr_v" => out.corr_v = Some(source.list::<FloatType>(i)?),
                "corr_depth" => out.corr_depth = Some(source.list::<FloatType>(i)?),
                "pixel_point" => {
                    let rows = source.bytes(i)?.into_iter();
                    out.pixel_point = Some(rows.map(|row| row.map(|bytes| map(&bytes))).collect());
                }
                _ => unreachable!("every column of the contract is matched above"),
            }
        }
        Ok(out)
    }
}

/// A dense map from its stored form, little-endian u32.
fn map(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

impl ViewGroup {
    /// The camera of a row, if the columns of [`CAMERA_COLUMNS`] were read and are well-formed.
    pub fn camera(&self, row: usize) -> Option<Camera> {
        let rows: &[f64; 12] = self.camera_from_world.as_ref()?.row(row)?.try_into().ok()?;
        Some(Camera {
            width: self.width.as_ref()?[row],
            height: self.height.as_ref()?[row],
            fx: self.fx.as_ref()?[row],
            fy: self.fy.as_ref()?[row],
            cx: self.cx.as_ref()?[row],
            cy: self.cy.as_ref()?[row],
            camera_from_world: Camera::affine_from_rows(rows),
        })
    }

    /// The view in a row, if every column was read.
    pub fn view(&self, row: usize) -> Option<View> {
        Some(View {
            sample_id: self.sample_id.as_ref()?[row].clone(),
            view: self.view.as_ref()?[row],
            name: self.name.as_ref()?[row].clone(),
            image: self.image.as_ref()?[row].clone(),
            camera: self.camera(row)?,
            depth: self.depth.as_ref()?[row].clone(),
            depth_scale: self.depth_scale.as_ref()?[row],
            correspondences: Correspondences {
                point: self.corr_point.as_ref()?.row(row)?.to_vec(),
                u: self.corr_u.as_ref()?.row(row)?.to_vec(),
                v: self.corr_v.as_ref()?.row(row)?.to_vec(),
                depth: self.corr_depth.as_ref()?.row(row)?.to_vec(),
            },
            pixel_point: self.pixel_point.as_ref()?[row].clone(),
        })
    }
}
