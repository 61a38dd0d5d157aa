//! Colours in the attribute words of binary STL, as Materialise Magics and as VisCAM write them.
//!
//! Both put five bits a channel into the word, in opposite orders. In Magics the header says `COLOR=` with the colour of
//! the whole object, and the highest bit of a word that the facet has no other; in VisCAM that bit says that it has one.

use std::collections::BTreeMap;

use jepa3d_schemas::{Material, Mesh, NO_INDEX, Warning, WarningKind};

const HIGHEST: u16 = 1 << 15;

/// Gives facets the colours that their attribute words hold; a warning if words or facets are left.
pub(super) fn color_facets(mesh: &mut Mesh, header: &[u8], words: &[u16]) -> Option<Warning> {
    let are_empty = words.iter().all(|word| *word == 0);
    let own: Vec<Option<[u8; 3]>> = match object_color(header) {
        // Writers that know the header alone leave every word empty, and mean no black object.
        Some(object) if are_empty => vec![Some(object); words.len()],
        Some(object) => {
            let color = |&word: &u16| if word & HIGHEST == 0 { bytes_of(word) } else { object };
            words.iter().map(|word| Some(color(word))).collect()
        }
        None => words.iter().map(|&word| (word & HIGHEST != 0).then(|| reversed(bytes_of(word)))).collect(),
    };
    let colored = own.iter().flatten().count();
    if colored == 0 {
        let used = words.iter().filter(|word| **word != 0).count();
        let told = format!("{used} facets carry attribute words that are no colours; not read");
        return (used > 0).then(|| Warning::new(WarningKind::AttributesUnread, told));
    }
    let mut numbers: BTreeMap<[u8; 3], u32> = BTreeMap::new();
    for color in own {
        let number = color.map_or(NO_INDEX, |color| {
            *numbers.entry(color).or_insert_with(|| {
                let diffuse = color.map(|c| f32::from(c) / 255.0);
                mesh.materials.push(Material { name: format!("{color:?}"), diffuse, texture: None });
                (mesh.materials.len() - 1) as u32
            })
        });
        mesh.triangle_materials.push(number);
    }
    let told =
        format!("{} of {} facets have no colour; they are light grey", words.len() - colored, words.len());
    (colored < words.len()).then(|| Warning::new(WarningKind::ColorsPartlyUnknown, told))
}

/// The colour behind `COLOR=` in a header.
fn object_color(header: &[u8]) -> Option<[u8; 3]> {
    let at = header.windows(6).position(|six| six == b"COLOR=")?;
    header[at + 6..].first_chunk().copied()
}

/// Channels of a word of five bits each, the lowest first.
fn bytes_of(word: u16) -> [u8; 3] {
    [word, word >> 5, word >> 10].map(|bits| (u32::from(bits & 31) * 255 / 31) as u8)
}

fn reversed(color: [u8; 3]) -> [u8; 3] {
    let [a, b, c] = color;
    [c, b, a]
}
