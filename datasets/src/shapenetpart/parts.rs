//! The 16 categories and 50 parts of the ShapeNetPart benchmark.

use std::ops::Range;

/// `(synset, name, first part)`; the parts of a category go on to the first of the next one.
const CATEGORIES: [(&str, &str, i16); 16] = [
    ("02691156", "Airplane", 0),
    ("02773838", "Bag", 4),
    ("02954340", "Cap", 6),
    ("02958343", "Car", 8),
    ("03001627", "Chair", 12),
    ("03261776", "Earphone", 16),
    ("03467517", "Guitar", 19),
    ("03624134", "Knife", 22),
    ("03636649", "Lamp", 24),
    ("03642806", "Laptop", 28),
    ("03790512", "Motorbike", 30),
    ("03797390", "Mug", 36),
    ("03948459", "Pistol", 38),
    ("04099429", "Rocket", 41),
    ("04225987", "Skateboard", 44),
    ("04379243", "Table", 47),
];
const PARTS: i16 = 50;

/// The part labels of a category, by synset.
pub(super) fn parts_of_synset(synset: &str) -> Option<Range<i16>> {
    let place = CATEGORIES.iter().position(|(known, ..)| *known == synset)?;
    let end = CATEGORIES.get(place + 1).map_or(PARTS, |next| next.2);
    Some(CATEGORIES[place].2..end)
}

/// A name for each of the 50 parts; the benchmark itself only numbers them.
pub(super) fn part_names() -> Vec<String> {
    let of_category = |(synset, name, first): &(&str, &str, i16)| {
        let parts = parts_of_synset(synset).unwrap_or_default();
        let names: Vec<String> =
            parts.map(|part| format!("{} part {}", name.to_lowercase(), part - first)).collect();
        names
    };
    CATEGORIES.iter().flat_map(of_category).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_the_fifty_parts() {
        let mut next = 0;
        for (synset, ..) in CATEGORIES {
            let range = parts_of_synset(synset).unwrap();
            assert_eq!(range.start, next);
            assert!((2..=6).contains(&range.len()));
            next = range.end;
        }
        assert_eq!(
            (next, parts_of_synset("03790512"), parts_of_synset("04379243")),
            (50, Some(30..36), Some(47..50))
        );
        assert_eq!(parts_of_synset("02942699"), None);
        let names = part_names();
        assert_eq!(
            (names.len(), names[31].as_str(), names[49].as_str()),
            (50, "motorbike part 1", "table part 2")
        );
    }
}
