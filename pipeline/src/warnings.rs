//! Warnings by name: how many objects have each, and one of them.

use std::collections::BTreeMap;

use jepa3d_schemas::CatalogRow;
use serde::Serialize;

/// Objects that have a warning of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WarningCount {
    /// How many.
    pub objects: usize,
    /// Id of the first of them.
    pub example: String,
    /// What it says there.
    pub text: String,
}

/// Counts by name.
pub(crate) type WarningCounts = BTreeMap<String, WarningCount>;

/// Counts the objects of a catalog that have a warning, by its name; each object once a name.
pub(crate) fn count_warnings<'a>(catalog: impl IntoIterator<Item = &'a CatalogRow>) -> WarningCounts {
    let mut counts = WarningCounts::new();
    for row in catalog {
        let by_name: BTreeMap<&str, &str> = row.named_warnings().collect();
        for (name, text) in by_name {
            let count = counts.entry(name.to_owned()).or_insert_with(|| WarningCount {
                example: row.id.clone(),
                text: text.to_owned(),
                ..WarningCount::default()
            });
            count.objects += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use jepa3d_schemas::CatalogViews;

    #[test]
    fn an_object_counts_once_a_name_and_views_count_too() {
        let row = |id: &str, warnings: &[&str], of_views: &[&str]| {
            let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
            let views = CatalogViews { warnings: texts(of_views), ..CatalogViews::default() };
            CatalogRow {
                id: id.into(),
                warnings: texts(warnings),
                views: Some(views),
                ..CatalogRow::default()
            }
        };
        let catalog = [
            row("a", &[], &[]),
            row("b", &["texture-missing: x: gone", "texture-missing: y: gone"], &["photo-missing: z"]),
            row("c", &["texture-missing: x"], &[]),
        ];
        let counts = count_warnings(&catalog);
        let found: Vec<_> = counts.iter().map(|(name, count)| (name.as_str(), count.objects)).collect();
        assert_eq!(found, [("photo-missing", 1), ("texture-missing", 2)]);
        assert_eq!(counts["texture-missing"].example, "b");
        assert_eq!(counts["photo-missing"].text, "z");
    }
}
