//! `[views]` of a prepare config: where cameras stand and what is stored of each view.

use serde::{Deserialize, Serialize};

/// Everything that decides the bytes of the views.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ViewsConfig {
    /// Where the cameras stand. Default: 12 cameras on a Fibonacci sphere.
    pub rig: RigConfig,
    /// Image width and height in pixels, 1 to 4096; photos keep their own. Default 224.
    pub size: u32,
    /// Samples a pixel along each axis, 1 to 4. Default 2.
    pub supersample: u32,
    /// Share of the image's half width that the unit sphere's outline reaches, 0.05 to 1. Default 0.95.
    pub fill: f64,
    /// Full vertical opening angle in degrees, 5 to 120. Default 50.
    pub field_of_view: f64,
    /// Largest random turn of a camera about the object, in degrees, drawn per sample and view. Default 0.
    pub jitter: f64,
    /// How surfaces are coloured. Default `auto`.
    pub color: ColorBy,
    /// Colour of pixels that show nothing, RGBA. Default transparent white.
    pub background: [u8; 4],
    /// Smooth shading where the mesh has normals. Default true.
    pub smooth: bool,
    /// Store depth as 16-bit PNG. Default true.
    pub depth: bool,
    /// Store the nearest visible point of each pixel. Default false.
    pub pixel_point: bool,
}

impl Default for ViewsConfig {
    fn default() -> Self {
        Self {
            rig: RigConfig::default(),
            size: 224,
            supersample: 2,
            fill: 0.95,
            field_of_view: 50.0,
            jitter: 0.0,
            color: ColorBy::Auto,
            background: [255, 255, 255, 0],
            smooth: true,
            depth: true,
            pixel_point: false,
        }
    }
}

/// What gives a surface or splat its colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ColorBy {
    /// The first that is there. Meshes: texture, vertex colour, material, plain grey (the order in which
    /// surface points get their colours). Clouds: point colour, intensity, height.
    #[default]
    Auto,
    /// Grey, shaded only.
    Plain,
    /// Height along the up axis.
    Height,
    /// Return intensity.
    Intensity,
    /// Part or semantic label.
    Label,
}

/// Where the cameras stand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum RigConfig {
    /// Evenly spread over the sphere.
    Fibonacci {
        /// Number of cameras, 1 to 4096.
        views: usize,
    },
    /// Rings of cameras: every elevation with every azimuth.
    Orbit {
        /// Degrees above the floor plane.
        elevations: Vec<f64>,
        /// Number of evenly spaced azimuths a ring, from the front.
        azimuths: usize,
    },
    /// The 24 views of the 3D-R2N2 ShapeNetRendering set: seeded azimuth, elevation 25 to 30 degrees,
    /// 35 mm focal length on a 32 mm sensor, distance 1.75 times a ratio of 0.65 to 1.
    ShapenetRendering,
    /// Cameras as listed.
    Explicit {
        /// The list.
        cameras: Vec<Placement>,
    },
    /// The object's own calibrated photographs; no rendering.
    Photos,
}

impl Default for RigConfig {
    fn default() -> Self {
        Self::Fibonacci { views: 12 }
    }
}

/// One camera of an explicit rig; it looks at the origin.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placement {
    /// Degrees about the up axis, 0 = in front, counted towards the object's left (seen from above, counter-clockwise).
    pub azimuth: f64,
    /// Degrees above the floor plane.
    pub elevation: f64,
    /// Degrees about the viewing axis, clockwise in the image. Default 0.
    #[serde(default)]
    pub roll: f64,
    /// Distance from the origin in cloud units; absent = fitted by `fill`.
    pub distance: Option<f64>,
    /// Full vertical opening angle in degrees; absent = `field_of_view`.
    pub field_of_view: Option<f64>,
}
