//! What was odd about a source but did not make it useless: a name to count by, and a sentence.

macro_rules! warning_kinds {
    ($($kind:ident: $name:literal, $meaning:literal;)*) => {
        /// What kind of oddity a [`Warning`] tells of.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum WarningKind {
            $(#[doc = $meaning] $kind,)*
        }

        impl WarningKind {
            /// Every kind, in the order of their topics.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// Its name in catalogs, reports and JSON.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }

            /// What it means, in one line.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$kind => $meaning,)*
                }
            }
        }
    };
}

warning_kinds! {
    // Points and their attributes.
    PointsNotFinite: "points-not-finite", "Points with NaN or infinite coordinates were dropped.";
    SinglePoint: "single-point", "All points coincide; the cloud has scale 1.";
    PointCountDiffers: "point-count-differs", "An annotation states another number of points than there are.";
    NormalsUnknown: "normals-unknown", "Normals that are zero, NaN or not of length one were not kept.";
    LabelsUnknown: "labels-unknown", "Labels that are no whole numbers of 16 bits were not kept.";
    IntensityUnknown: "intensity-unknown", "Intensities that are not finite were not kept.";
    ColumnsGuessed: "columns-guessed", "What columns without names mean was told from their values.";
    ColumnsIgnored: "columns-ignored", "Columns that mean something were not read: double, incomplete or of no place.";
    ColumnsRenamed: "columns-renamed", "The settings name a column otherwise than the header does; they hold.";
    ArraysIgnored: "arrays-ignored", "Arrays beside the points were not read.";
    ViewpointIgnored: "viewpoint-ignored", "The pose of the sensor was not applied to the points.";
    // Surfaces.
    FacesSkipped: "faces-skipped", "Faces with fewer than three usable corners were skipped.";
    FacesKeptAsFans: "faces-kept-as-fans", "Concave polygons too large to triangulate well were kept as fans.";
    CornersCleared: "corners-cleared", "Corners named normals or texture coordinates that are not there.";
    PrimitivesSkipped: "primitives-skipped", "Primitives that are no triangles were skipped.";
    FacesMissing: "faces-missing", "A mesh without faces was read as points.";
    LinesUnread: "lines-unread", "Lines with unknown keywords were skipped.";
    BytesIgnored: "bytes-ignored", "Bytes or lines after the last element were ignored.";
    LengthDiffers: "length-differs", "A header states another length than the file has.";
    AttributesUnread: "attributes-unread", "Faces carry attributes that are not read.";
    ExtensionUnread: "extension-unread", "An extension that the file uses is not read.";
    SceneLeftOut: "scene-left-out", "Meshes that are in no part of the default scene were left out.";
    SkinWeightsMended: "skin-weights-mended", "Weights of joints that do not add up to one were scaled, or the joints left out.";
    // Materials, colours and textures.
    ColorsPartlyUnknown: "colors-partly-unknown", "Some vertices or faces have no colour; they are white or light grey.";
    ColorsUnknown: "colors-unknown", "Colours that are NaN, negative or of an unknown range were not kept.";
    ColorsGuessed: "colors-guessed", "The range of colours was told from their values.";
    TextureIgnored: "texture-ignored", "A texture that the file names was not read.";
    MaterialMissing: "material-missing", "A material, or the file that should define it, is missing or cannot be read.";
    MaterialLineUnread: "material-line-unread", "A line of a material file could not be understood.";
    MaterialValueChanged: "material-value-changed", "A colour of a material was clamped, or left out of its texture.";
    TextureMissing: "texture-missing", "A texture is missing or cannot be decoded.";
    TextureOptionUnread: "texture-option-unread", "An option of a texture is not honoured.";
    TextureUnplaced: "texture-unplaced", "Faces of a material with a texture have no place in it; they have its colour alone.";
    CompanionOutside: "companion-outside", "A material file or texture lies outside the data folder and was not read.";
    // Listings.
    SplitUnclear: "split-unclear", "The name of a folder may mean a split, a class or neither.";
    // Photos.
    PhotoMissing: "photo-missing", "A camera has no photo of the moment.";
    PhotoShowsNothing: "photo-shows-nothing", "A photo shows no stored point and was left out.";
    // Recordings.
    BoxLeftOut: "box-left-out", "An annotated box has no legal size or pose and was left out.";
    NoPointsLeft: "no-points-left", "Every point lay within the distance that is left out around the sensor.";
}

/// What was odd about a source but did not make it useless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What to count it as.
    pub kind: WarningKind,
    /// One sentence about this source.
    pub text: String,
}

impl Warning {
    /// A sentence of a kind.
    pub fn new(kind: WarningKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
}

impl std::fmt::Display for Warning {
    /// `name: sentence`, as catalogs hold it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.text)
    }
}

impl PartialEq<&str> for Warning {
    fn eq(&self, text: &&str) -> bool {
        self.text == *text
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_can_be_split_off() {
        let names: BTreeSet<_> = WarningKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), WarningKind::ALL.len());
        assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
        let warning = Warning::new(WarningKind::SinglePoint, "all points coincide: scale 1");
        assert_eq!(warning.to_string().split_once(": ").unwrap().0, "single-point");
    }
}
