//! What a config says before anything is rendered: how many views, in words, and by which version.

use crate::config::RigConfig;

/// Raised whenever the same config gives other images, depths or correspondences: what was made
/// by another version is made again.
pub const RENDER_VERSION: u32 = 1;

/// Views of the ShapeNetRendering set.
const SHAPENET_RENDERING_VIEWS: usize = 24;

impl RigConfig {
    /// Views of a sample; `None` for photos, of which each sample has its own number.
    pub fn views(&self) -> Option<usize> {
        match self {
            Self::Fibonacci { views } => Some(*views),
            Self::Orbit { elevations, azimuths } => Some(elevations.len() * azimuths),
            Self::ShapenetRendering => Some(SHAPENET_RENDERING_VIEWS),
            Self::Explicit { cameras } => Some(cameras.len()),
            Self::Photos => None,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rig_knows_its_views() {
        assert_eq!(RigConfig::default().views(), Some(12));
        let orbit = RigConfig::Orbit { elevations: vec![0.0, 30.0], azimuths: 8 };
        assert_eq!((orbit.views(), RigConfig::Photos.views()), (Some(16), None));
        assert_eq!(orbit.to_string(), "orbits at 0°, 30° with 8 cameras each");
    }
}
