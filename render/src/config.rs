//! `[views]` of a prepare config: where cameras stand and what is stored of each view.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

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

impl ViewsConfig {
    /// Checks every number against its legal range.
    ///
    /// # Errors
    /// Fails if one is outside it; the error names the key, the range and the value.
    pub fn check(&self) -> Result<()> {
        let mut checks = vec![
            ("size", f64::from(self.size), 1.0, 4096.0),
            ("supersample", f64::from(self.supersample), 1.0, 4.0),
            ("fill", self.fill, 0.05, 1.0),
            ("field_of_view", self.field_of_view, 5.0, 120.0),
            ("jitter", self.jitter, 0.0, 180.0),
            ("size * supersample", f64::from(self.size) * f64::from(self.supersample), 1.0, 8192.0),
        ];
        match &self.rig {
            RigConfig::Fibonacci { views } => checks.push(("rig.views", *views as f64, 1.0, 4096.0)),
            RigConfig::Orbit { elevations, azimuths } => {
                let views = elevations.len() as f64 * *azimuths as f64;
                checks.push(("rig.elevations * rig.azimuths", views, 1.0, 4096.0));
                checks.extend(elevations.iter().map(|&e| ("rig.elevations", e, -90.0, 90.0)));
            }
            RigConfig::Explicit { cameras } => {
                checks.push(("rig.cameras", cameras.len() as f64, 1.0, 4096.0));
                cameras.iter().for_each(|camera| checks.extend(camera.ranges()));
            }
            RigConfig::ShapenetRendering | RigConfig::Photos => {}
        }
        for (key, found, low, high) in checks {
            if !(found >= low && found <= high) {
                let expected = format!("{low} to {high}");
                return Err(Error::Config { key, expected, found: found.to_string() });
            }
        }
        Ok(())
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

impl Placement {
    fn ranges(&self) -> Vec<(&'static str, f64, f64, f64)> {
        let mut ranges = vec![
            ("rig.cameras.azimuth", self.azimuth, -1e6, 1e6),
            ("rig.cameras.elevation", self.elevation, -90.0, 90.0),
            ("rig.cameras.roll", self.roll, -1e6, 1e6),
        ];
        ranges.extend(self.distance.map(|d| ("rig.cameras.distance", d, 1e-6, 1e6)));
        ranges.extend(self.field_of_view.map(|f| ("rig.cameras.field_of_view", f, 5.0, 120.0)));
        ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_range_is_named() {
        let message = |change: fn(&mut ViewsConfig)| {
            let mut config = ViewsConfig::default();
            change(&mut config);
            config.check().unwrap_err().to_string()
        };
        assert!(ViewsConfig::default().check().is_ok());
        assert_eq!(message(|c| c.size = 0), "views.size: expected 1 to 4096, found 0");
        assert_eq!(message(|c| c.fill = f64::NAN), "views.fill: expected 0.05 to 1, found NaN");
        assert_eq!(message(|c| c.supersample = 5), "views.supersample: expected 1 to 4, found 5");
        assert_eq!(
            message(|c| (c.size, c.supersample) = (4096, 4)),
            "views.size * supersample: expected 1 to 8192, found 16384"
        );
        assert_eq!(
            message(|c| c.rig = RigConfig::Orbit { elevations: vec![95.0], azimuths: 4 }),
            "views.rig.elevations: expected -90 to 90, found 95"
        );
        assert_eq!(
            message(|c| c.rig = RigConfig::Fibonacci { views: 0 }),
            "views.rig.views: expected 1 to 4096, found 0"
        );
    }
}
