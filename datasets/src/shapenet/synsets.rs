//! The 55 classes of ShapeNetCore v2 and ShapeNet55: WordNet synset and name, in synset order.

/// `(synset, name)`; the place in this table is the class number of Point-BERT's ShapeNet55 too.
pub(super) const SYNSETS: [(&str, &str); 55] = [
    ("02691156", "airplane"),
    ("02747177", "trash bin"),
    ("02773838", "bag"),
    ("02801938", "basket"),
    ("02808440", "bathtub"),
    ("02818832", "bed"),
    ("02828884", "bench"),
    ("02843684", "birdhouse"),
    ("02871439", "bookshelf"),
    ("02876657", "bottle"),
    ("02880940", "bowl"),
    ("02924116", "bus"),
    ("02933112", "cabinet"),
    ("02942699", "camera"),
    ("02946921", "can"),
    ("02954340", "cap"),
    ("02958343", "car"),
    ("02992529", "cellphone"),
    ("03001627", "chair"),
    ("03046257", "clock"),
    ("03085013", "keyboard"),
    ("03207941", "dishwasher"),
    ("03211117", "display"),
    ("03261776", "earphone"),
    ("03325088", "faucet"),
    ("03337140", "file cabinet"),
    ("03467517", "guitar"),
    ("03513137", "helmet"),
    ("03593526", "jar"),
    ("03624134", "knife"),
    ("03636649", "lamp"),
    ("03642806", "laptop"),
    ("03691459", "loudspeaker"),
    ("03710193", "mailbox"),
    ("03759954", "microphone"),
    ("03761084", "microwave"),
    ("03790512", "motorbike"),
    ("03797390", "mug"),
    ("03928116", "piano"),
    ("03938244", "pillow"),
    ("03948459", "pistol"),
    ("03991062", "flowerpot"),
    ("04004475", "printer"),
    ("04074963", "remote control"),
    ("04090263", "rifle"),
    ("04099429", "rocket"),
    ("04225987", "skateboard"),
    ("04256520", "sofa"),
    ("04330267", "stove"),
    ("04379243", "table"),
    ("04401088", "telephone"),
    ("04460130", "tower"),
    ("04468005", "train"),
    ("04530566", "watercraft"),
    ("04554684", "washer"),
];

/// Class number of a synset.
pub(super) fn find_label(synset: &str) -> Option<usize> {
    SYNSETS.binary_search_by(|(known, _)| (*known).cmp(synset)).ok()
}

/// Synset of a synset or a class name.
pub(super) fn find_synset(name: &str) -> Option<&'static str> {
    SYNSETS.iter().find(|(synset, known)| *synset == name || *known == name).map(|(synset, _)| *synset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn synsets_ascend_and_names_differ() {
        assert!(SYNSETS.windows(2).all(|w| w[0].0 < w[1].0));
        let mut names: Vec<_> = SYNSETS.iter().map(|s| s.1).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 55);
        // As in Point-BERT's label table.
        assert_eq!(
            [find_label("02691156"), find_label("04379243"), find_label("04554684")],
            [Some(0), Some(49), Some(54)]
        );
        assert_eq!((find_label("02834778"), find_synset("airplane")), (None, Some("02691156")));
    }
}
