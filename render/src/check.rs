//! Range checks of `[views]`: every number is in range before any object is read.

use crate::config::{Placement, RigConfig, ViewsConfig};
use crate::error::{Error, Result};

/// Most views of a sample.
const MOST_VIEWS: usize = 4096;

/// Raised whenever the same config gives other images, depths or correspondences: what was made
/// by another version is made again.
pub const RENDER_VERSION: u32 = 1;

impl ViewsConfig {
    /// Checks that every number is in its documented range.
    ///
    /// # Errors
    /// Fails if one is not; the error names key, expected and found.
    pub fn check(&self) -> Result<()> {
        whole("size", self.size as usize, [8, 4096])?;
        whole("supersample", self.supersample as usize, [1, 4])?;
        real("fill", self.fill, [0.05, 1.0])?;
        real("field_of_view", self.field_of_view, [5.0, 120.0])?;
        real("jitter", self.jitter, [0.0, 180.0])?;
        self.rig.check()
    }
}

impl RigConfig {
    /// Views of a sample; `None` for photos, of which each sample has its own number.
    pub fn views(&self) -> Option<usize> {
        match self {
            Self::Fibonacci { views } => Some(*views),
            Self::Orbit { elevations, azimuths } => Some(elevations.len() * azimuths),
            Self::ShapenetRendering => Some(24),
            Self::Explicit { cameras } => Some(cameras.len()),
            Self::Photos => None,
        }
    }

    fn check(&self) -> Result<()> {
        match self {
            Self::Fibonacci { views } => whole("rig.views", *views, [1, MOST_VIEWS])?,
            Self::Orbit { elevations, azimuths } => {
                whole("rig.elevations (how many)", elevations.len(), [1, MOST_VIEWS])?;
                elevations.iter().try_for_each(|&e| real("rig.elevations", e, [-90.0, 90.0]))?;
                whole("rig.azimuths", *azimuths, [1, MOST_VIEWS / elevations.len()])?;
            }
            Self::Explicit { cameras } => {
                whole("rig.cameras (how many)", cameras.len(), [1, MOST_VIEWS])?;
                cameras.iter().try_for_each(Placement::check)?;
            }
            Self::ShapenetRendering | Self::Photos => {}
        }
        Ok(())
    }
}

impl std::fmt::Display for RigConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fibonacci { .. } => write!(f, "cameras on a Fibonacci sphere"),
            Self::Orbit { elevations, azimuths } => {
                let elevations: Vec<String> = elevations.iter().map(|e| format!("{e}°")).collect();
                write!(f, "orbits at {} with {azimuths} cameras each", elevations.join(", "))
            }
            Self::ShapenetRendering => write!(f, "cameras as in ShapeNetRendering"),
            Self::Explicit { .. } => write!(f, "cameras as listed"),
            Self::Photos => write!(f, "with their own cameras"),
        }
    }
}

impl Placement {
    fn check(&self) -> Result<()> {
        real("rig.cameras.azimuth", self.azimuth, [-360.0, 360.0])?;
        real("rig.cameras.elevation", self.elevation, [-90.0, 90.0])?;
        real("rig.cameras.roll", self.roll, [-360.0, 360.0])?;
        if let Some(distance) = self.distance {
            real("rig.cameras.distance", distance, [1e-3, 1e6])?;
        }
        if let Some(angle) = self.field_of_view {
            real("rig.cameras.field_of_view", angle, [5.0, 120.0])?;
        }
        Ok(())
    }
}

fn whole(key: &'static str, found: usize, [low, high]: [usize; 2]) -> Result<()> {
    if (low..=high).contains(&found) {
        return Ok(());
    }
    Err(Error::Config { key, expected: format!("{low} to {high}"), found: found.to_string() })
}

fn real(key: &'static str, found: f64, [low, high]: [f64; 2]) -> Result<()> {
    // A NaN is in no range.
    if (low..=high).contains(&found) {
        return Ok(());
    }
    Err(Error::Config { key, expected: format!("{low} to {high}"), found: found.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_range_is_named() {
        let wrong = |config: ViewsConfig| config.check().unwrap_err().to_string();
        let base = ViewsConfig::default;
        assert!(base().check().is_ok());
        assert_eq!(
            wrong(ViewsConfig { size: 0, ..base() }),
            "config: views.size: expected 8 to 4096, found 0"
        );
        assert_eq!(
            wrong(ViewsConfig { fill: f64::NAN, ..base() }),
            "config: views.fill: expected 0.05 to 1, found NaN"
        );
        let rig = RigConfig::Orbit { elevations: vec![], azimuths: 4 };
        assert_eq!(
            wrong(ViewsConfig { rig, ..base() }),
            "config: views.rig.elevations (how many): expected 1 to 4096, found 0"
        );
        let rig = RigConfig::Orbit { elevations: vec![0.0, 91.0], azimuths: 4 };
        assert_eq!(
            wrong(ViewsConfig { rig, ..base() }),
            "config: views.rig.elevations: expected -90 to 90, found 91"
        );
        let rig = RigConfig::Fibonacci { views: 5000 };
        assert!(wrong(ViewsConfig { rig, ..base() }).contains("rig.views: expected 1 to 4096, found 5000"));
    }

    #[test]
    fn a_rig_knows_its_views() {
        assert_eq!(RigConfig::default().views(), Some(12));
        let orbit = RigConfig::Orbit { elevations: vec![0.0, 30.0], azimuths: 8 };
        assert_eq!((orbit.views(), RigConfig::Photos.views()), (Some(16), None));
        assert_eq!(orbit.to_string(), "orbits at 0°, 30° with 8 cameras each");
    }
}
