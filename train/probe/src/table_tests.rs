//! The whole table on features whose answer is known.

use jepa3d_schemas::Draws;

use super::*;

const CLASSES: usize = 4;
const WIDTH: usize = 24;

/// `n` samples around the centers of four classes, `spread` apart; every tenth is of the split `test`.
fn features(n: usize, spread: f64) -> FeatureSet {
    let mut draws = Draws::new(9, "table", "test");
    let centers: Vec<f64> = (0..CLASSES * WIDTH).map(|_| spread * draws.normal()).collect();
    let mut set = FeatureSet { width: WIDTH, ..FeatureSet::default() };
    for i in 0..n {
        let class = i % CLASSES;
        set.ids.push(format!("thing/{i:05}"));
        set.labels.push(Some(class as i32 + 10));
        set.splits.push(if i % 10 == 9 { "test" } else { "train" }.to_owned());
        let noisy = |d: usize| (3.0 + centers[class * WIDTH + d] + draws.normal()) as f32;
        set.values.extend((0..WIDTH).map(noisy));
    }
    set
}

#[test]
fn easy_features_score_high_and_noise_scores_chance() {
    let table = probe(&features(900, 2.0), &ProbeConfig::default()).unwrap();
    let names: Vec<&str> = table.lines.iter().map(|line| line.name.as_str()).collect();
    let expected = [
        "SVM, raw, C = 0.012",
        "SVM, standardised, C chosen",
        "kNN-20",
        "1 label a class",
        "5 labels a class",
        "20 labels a class",
        "effective rank",
    ];
    assert_eq!(names, expected);
    assert!(table.lines[..3].iter().all(|line| line.value > 99.0), "{:?}", table.lines);
    assert_eq!(table.n_train + table.n_evaluation, 810);
    let noise = probe(&features(900, 0.0), &ProbeConfig::default()).unwrap();
    assert!(noise.lines[..6].iter().all(|line| (line.value - 25.0).abs() < 12.0), "{:?}", noise.lines);
}

#[test]
fn the_light_form_agrees_with_the_full_one() {
    let features = features(600, 0.4);
    let full = probe(&features, &ProbeConfig::default()).unwrap();
    let light = probe(&features, &ProbeConfig { extent: Extent::Light, ..ProbeConfig::default() }).unwrap();
    assert_eq!(light.lines.len(), 2);
    for line in &light.lines {
        assert_eq!(full.value(&line.name), Some(line.value));
    }
}

#[test]
fn samples_of_the_split_test_change_nothing() {
    let set = features(600, 0.4);
    let table = probe(&set, &ProbeConfig::default()).unwrap();
    let train: Vec<usize> = (0..set.len()).filter(|&i| set.splits[i] == "train").collect();
    let only_train = FeatureSet {
        ids: train.iter().map(|&i| set.ids[i].clone()).collect(),
        labels: train.iter().map(|&i| set.labels[i]).collect(),
        splits: vec!["train".to_owned(); train.len()],
        width: set.width,
        values: set.gather(&train),
    };
    let again = probe(&only_train, &ProbeConfig::default()).unwrap();
    assert_eq!(again.lines, table.lines);
    assert_eq!(again.standardised_choices, table.standardised_choices);
}

#[test]
fn another_split_is_classified_with_all_of_the_training_split() {
    let config = ProbeConfig { evaluation: Evaluation::Split("test".to_owned()), ..ProbeConfig::default() };
    let table = probe(&features(600, 0.4), &config).unwrap();
    assert_eq!((table.n_train, table.n_evaluation), (540, 60));
}

#[test]
fn what_cannot_be_measured_is_said() {
    let set = features(600, 1.0);
    let fails = |set: &FeatureSet| probe(set, &ProbeConfig::default()).unwrap_err().to_string();
    let unlabelled = FeatureSet { labels: vec![None; 600], ..set.clone() };
    let none = "features: training part: expected labelled samples, found none of 600 samples";
    assert_eq!(fails(&unlabelled), none);
    let one = FeatureSet { labels: vec![Some(3); 600], ..set.clone() };
    assert_eq!(fails(&one), "features: classes of the training part: expected at least 2, found 1");
    let mut rare = set.clone();
    rare.labels.iter_mut().skip(40).filter(|label| **label == Some(12)).for_each(|label| *label = None);
    let class_names = (0..14).map(|i| format!("thing {i}")).collect();
    let table = probe(&rare, &ProbeConfig { class_names, ..ProbeConfig::default() }).unwrap();
    assert_eq!(table.value("20 labels a class"), None);
    assert!(table.value("5 labels a class").is_some());
    let [left_out] = table.left_out.as_slice() else { panic!("{:?}", table.left_out) };
    assert!(left_out.starts_with("20 labels a class: thing 12 has "), "{left_out}");
    let printed =
        print_columns(&[ProbeColumn { title: "e", seeds: &[1], tables: std::slice::from_ref(&table) }]);
    assert!(printed.contains(&format!("left out: {left_out}\n")), "{printed}");
    let mut wrong = set.clone();
    wrong.values[7 * WIDTH + 2] = f32::INFINITY;
    assert_eq!(fails(&wrong), "features: row 7 (thing/00007), column 2: expected a finite number, found inf");
    let config = ProbeConfig { evaluation: Evaluation::Split("val".to_owned()), ..ProbeConfig::default() };
    let error = probe(&set, &config).unwrap_err().to_string();
    assert_eq!(error, "features: evaluation part: expected labelled samples, found none of 600 samples");
    let config = ProbeConfig { evaluation: Evaluation::Split("train".to_owned()), ..ProbeConfig::default() };
    let error = probe(&set, &config).unwrap_err().to_string();
    assert_eq!(
        error,
        "features: split to classify: expected another than the one that is learnt from, found train"
    );
}

#[test]
fn columns_stand_side_by_side_with_how_they_were_measured() {
    let config = ProbeConfig { extent: Extent::Light, draws: 3, ..ProbeConfig::default() };
    let [a, b] = [0.3, 0.5].map(|spread| probe(&features(600, spread), &config).unwrap());
    let tables = [a.clone(), b.clone()];
    let columns = [
        ProbeColumn { title: "random weights", seeds: &[1], tables: &tables[..1] },
        ProbeColumn { title: "pretrained", seeds: &[1, 2], tables: &tables },
    ];
    let text = print_columns(&columns);
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].trim_start().starts_with("random weights") && lines[0].ends_with("pretrained"),
        "{text}"
    );
    let mean = (a.lines[0].value + b.lines[0].value) / 2.0;
    assert!(lines[1].starts_with("kNN-20") && lines[1].contains(&format!("{mean:.1} +- ")), "{text}");
    assert!(lines[2].contains(&format!("{:.1} +- {:.1}", a.lines[1].value, a.lines[1].deviation.unwrap())));
    let over = "random weights: +- over 3 draws of the labels\npretrained: +- over 2 seeds\n";
    assert!(text.contains(over), "{text}");
    assert!(text.contains("pooling concat[max, mean]; FPS start stored; SVM one-vs-one"), "{text}");
    assert!(text.ends_with("random weights, seed 1\npretrained, seed 1\npretrained, seed 2\n"), "{text}");
    assert_eq!(print_columns(&[]), "");
}
