//! Defines the class lists of boxes: the 23 annotated categories and the 10 detection classes.
//!
//! Both lists are fixed, not read from `category.json`, so that a label means the same in every
//! version (the tables of the lidarseg extension hold 9 more categories that no box has).

use super::config::NuScenesClasses;

/// The 10 classes of the detection task, in the order of its results.
const DETECTION: [&str; 10] = [
    "car",
    "truck",
    "bus",
    "trailer",
    "construction_vehicle",
    "pedestrian",
    "motorcycle",
    "bicycle",
    "traffic_cone",
    "barrier",
];

/// The 23 categories of boxes in byte order, each with its detection class if it has one.
const FINE: [(&str, Option<&str>); 23] = [
    ("animal", None),
    ("human.pedestrian.adult", Some("pedestrian")),
    ("human.pedestrian.child", Some("pedestrian")),
    ("human.pedestrian.construction_worker", Some("pedestrian")),
    ("human.pedestrian.personal_mobility", None),
    ("human.pedestrian.police_officer", Some("pedestrian")),
    ("human.pedestrian.stroller", None),
    ("human.pedestrian.wheelchair", None),
    ("movable_object.barrier", Some("barrier")),
    ("movable_object.debris", None),
    ("movable_object.pushable_pullable", None),
    ("movable_object.trafficcone", Some("traffic_cone")),
    ("static_object.bicycle_rack", None),
    ("vehicle.bicycle", Some("bicycle")),
    ("vehicle.bus.bendy", Some("bus")),
    ("vehicle.bus.rigid", Some("bus")),
    ("vehicle.car", Some("car")),
    ("vehicle.construction", Some("construction_vehicle")),
    ("vehicle.emergency.ambulance", None),
    ("vehicle.emergency.police", None),
    ("vehicle.motorcycle", Some("motorcycle")),
    ("vehicle.trailer", Some("trailer")),
    ("vehicle.truck", Some("truck")),
];

/// The class names of a scheme; a label is an index into them.
pub(super) fn class_names(scheme: NuScenesClasses) -> Vec<String> {
    match scheme {
        NuScenesClasses::Detection => DETECTION.map(str::to_owned).to_vec(),
        NuScenesClasses::Fine => FINE.map(|(name, _)| name.to_owned()).to_vec(),
    }
}

/// The categories of boxes, each with its detection class if it has one.
pub(super) fn box_categories() -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
    FINE.into_iter()
}

/// The label of a category, or `None` if the scheme has no class for it.
pub(super) fn find_label(category: &str, scheme: NuScenesClasses) -> Option<u16> {
    let fine = FINE.binary_search_by_key(&category, |&(name, _)| name).ok()?;
    let label = match scheme {
        NuScenesClasses::Fine => fine,
        NuScenesClasses::Detection => {
            let class = FINE[fine].1?;
            DETECTION.iter().position(|&name| name == class)?
        }
    };
    u16::try_from(label).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted_and_every_detection_class_is_reached() {
        assert!(FINE.windows(2).all(|pair| pair[0].0 < pair[1].0));
        let mut counts = [0; 10];
        for (name, class) in FINE {
            let label = find_label(name, NuScenesClasses::Detection);
            assert_eq!(label.map(|l| DETECTION[l as usize]), class);
            if let Some(label) = label {
                counts[label as usize] += 1;
            }
        }
        // car truck bus trailer construction pedestrian motorcycle bicycle cone barrier
        assert_eq!(counts, [1, 1, 2, 1, 1, 4, 1, 1, 1, 1]);
    }

    #[test]
    fn labels() {
        assert_eq!(find_label("animal", NuScenesClasses::Fine), Some(0));
        assert_eq!(find_label("vehicle.truck", NuScenesClasses::Fine), Some(22));
        assert_eq!(find_label("vehicle.truck", NuScenesClasses::Detection), Some(1));
        assert_eq!(find_label("animal", NuScenesClasses::Detection), None);
        assert_eq!(find_label("flat.driveable_surface", NuScenesClasses::Fine), None);
        assert_eq!(class_names(NuScenesClasses::Fine).len(), 23);
    }
}
