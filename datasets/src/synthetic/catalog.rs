//! The categories: their names, the names of their parts, and the functions that build them.
//!
//! Labels and part labels are positions in this table, so its order and the lists of parts are
//! part of the data format: new categories change the labels of those that follow.

use super::sketch::Sketch;
use super::{cars, containers, devices, guitar, seating, tables, upholstery, vehicles};

/// A kind of object.
pub(super) struct Category {
    /// Name, lower case; also the start of the ids.
    pub(super) name: &'static str,
    /// Names of the parts, in the order of their labels.
    pub(super) parts: &'static [&'static str],
    /// Draws one object.
    pub(super) build: fn(&mut Sketch),
}

const fn category(name: &'static str, parts: &'static [&'static str], build: fn(&mut Sketch)) -> Category {
    Category { name, parts, build }
}

/// Every category, in alphabetical order.
pub(super) static CATEGORIES: [Category; 16] = [
    category("airplane", &vehicles::AIRPLANE, vehicles::airplane),
    category("bed", &upholstery::BED, upholstery::bed),
    category("bench", &upholstery::BENCH, upholstery::bench),
    category("bookshelf", &tables::BOOKSHELF, tables::bookshelf),
    category("bottle", &containers::BOTTLE, containers::bottle),
    category("car", &cars::CAR, cars::car),
    category("chair", &seating::CHAIR, seating::chair),
    category("guitar", &guitar::GUITAR, guitar::guitar),
    category("lamp", &devices::LAMP, devices::lamp),
    category("laptop", &devices::LAPTOP, devices::laptop),
    category("monitor", &devices::MONITOR, devices::monitor),
    category("mug", &containers::MUG, containers::mug),
    category("sofa", &upholstery::SOFA, upholstery::sofa),
    category("stool", &seating::STOOL, seating::stool),
    category("table", &tables::TABLE, tables::table),
    category("vase", &containers::VASE, containers::vase),
];

/// The first part label of a category.
pub(super) fn first_part(name: &str) -> i16 {
    CATEGORIES.iter().take_while(|c| c.name != name).map(|c| c.parts.len() as i16).sum()
}

/// The name of every part label, whatever categories are chosen.
pub(super) fn part_names() -> Vec<String> {
    let names =
        |category: &Category| category.parts.iter().map(|part| format!("{} {part}", category.name)).collect();
    CATEGORIES.iter().flat_map(|category| -> Vec<String> { names(category) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_safe_to_use_in_ids() {
        assert!(CATEGORIES.windows(2).all(|w| w[0].name < w[1].name));
        assert!(CATEGORIES.iter().all(|c| c.name.bytes().all(|b| b.is_ascii_lowercase())));
    }

    #[test]
    fn part_labels_of_a_category_are_contiguous() {
        let mut next = 0;
        for c in &CATEGORIES {
            assert_eq!(first_part(c.name), next);
            next += c.parts.len() as i16;
        }
        let names = part_names();
        assert_eq!((names.len() as i16, names[first_part("bed") as usize].starts_with("bed ")), (next, true));
    }
}
