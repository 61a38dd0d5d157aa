//! Plausible surface colours: a few base colours a kind of surface, each shifted at random.

use jepa3d_schemas::Draws;

/// What a surface is made of; decides the range of its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    /// Oak to walnut.
    Wood,
    /// Steel, brass, bronze.
    Metal,
    /// Upholstery.
    Fabric,
    /// Browns and black.
    Leather,
    /// Bright paint.
    Lacquer,
    /// Car and aircraft paint, often white or grey.
    Coat,
    /// Bottle glass.
    Glass,
    /// Windows.
    Pane,
    /// Pottery glaze.
    Ceramic,
    /// Tyres, casters, cases.
    Dark,
    /// Nearly white.
    White,
    /// Screens that are off or show something.
    Screen,
    /// Lamp shades.
    Shade,
    /// Leaves and stems.
    Plant,
}

impl Finish {
    /// Name of the material.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Wood => "wood",
            Self::Metal => "metal",
            Self::Fabric => "fabric",
            Self::Leather => "leather",
            Self::Lacquer => "lacquer",
            Self::Coat => "coat",
            Self::Glass => "glass",
            Self::Pane => "pane",
            Self::Ceramic => "ceramic",
            Self::Dark => "dark",
            Self::White => "white",
            Self::Screen => "screen",
            Self::Shade => "shade",
            Self::Plant => "plant",
        }
    }

    /// Base colours, sRGB in percent.
    fn bases(self) -> &'static [[u8; 3]] {
        match self {
            Self::Wood => &[[76, 58, 38], [60, 40, 22], [42, 26, 15], [85, 72, 54], [52, 30, 20]],
            Self::Metal => &[[72, 73, 75], [50, 51, 54], [70, 58, 32], [22, 22, 24], [60, 42, 28]],
            Self::Fabric => {
                &[[62, 60, 56], [30, 38, 56], [58, 24, 22], [36, 46, 32], [78, 70, 56], [26, 26, 30]]
            }
            Self::Leather => &[[40, 24, 15], [16, 14, 13], [62, 38, 20], [82, 76, 66]],
            Self::Lacquer => {
                &[[78, 16, 14], [14, 34, 66], [92, 74, 14], [16, 48, 28], [88, 44, 10], [48, 18, 50]]
            }
            Self::Coat => {
                &[[92, 92, 92], [66, 68, 70], [12, 12, 14], [70, 12, 12], [12, 26, 56], [24, 36, 28]]
            }
            Self::Glass => &[[16, 34, 18], [36, 20, 8], [70, 82, 84], [24, 40, 58], [82, 88, 80]],
            Self::Pane => &[[20, 26, 32], [40, 50, 58]],
            Self::Ceramic => {
                &[[90, 88, 84], [30, 46, 62], [62, 32, 22], [48, 58, 46], [80, 66, 42], [24, 24, 28]]
            }
            Self::Dark => &[[8, 8, 9], [16, 16, 17]],
            Self::White => &[[92, 92, 90], [86, 86, 84]],
            Self::Screen => &[[5, 6, 8], [12, 30, 52], [20, 44, 40], [64, 68, 74]],
            Self::Shade => &[[92, 86, 72], [94, 92, 88], [80, 58, 36], [58, 20, 20], [20, 38, 36]],
            Self::Plant => &[[18, 40, 14], [34, 52, 20], [56, 60, 28]],
        }
    }

    /// A random colour of this kind, sRGB in `[0,1]`.
    pub(super) fn color(self, draws: &mut Draws) -> [f32; 3] {
        let bases = self.bases();
        let base = bases[draws.index(bases.len())];
        let light = draws.range(0.8, 1.15);
        base.map(|c| (f64::from(c) / 100.0 * light + draws.range(-0.03, 0.03)).clamp(0.01, 0.99) as f32)
    }
}
