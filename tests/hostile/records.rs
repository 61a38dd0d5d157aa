//! Records of a half-done set that someone else wrote: a task is done again, and nothing outside is read, removed or listed.

use super::files::{copy_tree, describe_difference, names_below, read_timeless, read_tree, text, write};
use super::findings::Findings;
use super::fixture::{Fixture, prepare_args};
use super::harness::jepa3d;
use super::manifest_text::quote;

/// The value of `"file"` in a record, in whatever spacing.
fn replace_file(record: &str, name: &str) -> Option<String> {
    let start = record.find("\"file\"")? + "\"file\"".len();
    let open = start + record[start..].find('"')?;
    let close = open + 1 + record[open + 1..].find('"')?;
    Some(format!("{}{}{}", &record[..open], quote(name), &record[close + 1..]))
}

#[test]
#[ignore = "long: make test-hostile"]
fn records_lead_nowhere_else() {
    let here = Fixture::new("records");
    let mut findings = Findings::new("hostile records of a half-done set");
    let (half, set, outside) =
        (here.folder.path("half"), here.folder.path("hostile"), here.folder.path("outside"));
    for task in ["0", "1", "2"] {
        jepa3d(&prepare_args(&here.data(), &half, &["--task", task])).expect_done();
    }
    copy_tree(&here.set(), &outside);
    let precious = read_tree(&outside);
    let mut expected = read_timeless(&here.set());
    expected.retain(|name, _| !name.starts_with("teachers/"));
    let mut records = names_below(&half);
    records.retain(|name| name.starts_with(".jepa3d/") && name.ends_with(".json"));
    findings.check(records.len() >= 6, || format!("records of points and views: {records:?}"));
    for record in &records {
        let sound = std::fs::read_to_string(half.join(record)).unwrap();
        let file = sound
            .split("\"file\"")
            .nth(1)
            .and_then(|rest| rest.split('"').nth(1))
            .unwrap_or_default()
            .to_owned();
        let names = [
            text(&outside.join(&file)).to_owned(),
            format!("../outside/{file}"),
            String::new(),
            "manifest.json".to_owned(),
        ];
        for name in names {
            for more in [&[][..], &["--finalize"], &["--only", "views"]] {
                copy_tree(&half, &set);
                write(&set.join(record), replace_file(&sound, &name).unwrap());
                let ran = jepa3d(&prepare_args(&here.data(), &set, more));
                let difference = describe_difference(&read_timeless(&set), &expected);
                let wrong = ran.death().or_else(|| difference.filter(|_| ran.is_done()));
                findings.note(wrong.map(|wrong| format!("{record} naming {name:?}, {more:?}: {wrong}")));
                findings.check(read_tree(&outside) == precious, || {
                    format!("{record} naming {name:?} changed files outside")
                });
                copy_tree(&here.set(), &outside);
            }
        }
    }
    findings.conclude();
}
