//! Who may import whom: the crate edges of the workspace, read from `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Direct dependencies of every member: package name to names, of one kind.
fn dependencies(is_wanted: impl Fn(Option<&str>) -> bool) -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = |value: &serde_json::Value| value["name"].as_str().unwrap().to_owned();
    let of = |package: &serde_json::Value| {
        let all = package["dependencies"].as_array().unwrap().iter();
        all.filter(|d| is_wanted(d["kind"].as_str())).map(name).collect()
    };
    metadata["packages"].as_array().unwrap().iter().map(|package| (name(package), of(package))).collect()
}

#[test]
fn crates_import_only_what_they_may() {
    let allowed: [(&str, &[&str]); 18] = [
        ("jepa3d-charts", &[]),
        ("jepa3d-schemas", &[]),
        ("jepa3d-grouping", &[]),
        ("jepa3d-products", &[]),
        ("jepa3d-datasets", &["jepa3d-schemas"]),
        ("jepa3d-store", &["jepa3d-schemas"]),
        ("jepa3d-render", &["jepa3d-schemas"]),
        (
            "jepa3d-pipeline",
            &["jepa3d-charts", "jepa3d-schemas", "jepa3d-datasets", "jepa3d-grouping", "jepa3d-render"],
        ),
        ("jepa3d-torch", &["jepa3d-schemas"]),
        ("jepa3d-kernels", &["jepa3d-products"]),
        ("jepa3d-probe", &["jepa3d-schemas", "jepa3d-products"]),
        ("jepa3d-loader", &["jepa3d-schemas", "jepa3d-grouping"]),
        (
            "jepa3d-train",
            &["jepa3d-schemas", "jepa3d-grouping", "jepa3d-kernels", "jepa3d-loader", "jepa3d-probe"],
        ),
        ("jepa3d-teachers", &["jepa3d-schemas", "jepa3d-products", "jepa3d-kernels", "jepa3d-loader"]),
        (
            "jepa3d-inspect",
            &["jepa3d-charts", "jepa3d-schemas", "jepa3d-grouping", "jepa3d-loader", "jepa3d-train"],
        ),
        (
            "jepa3d-python",
            &[
                "jepa3d-schemas",
                "jepa3d-grouping",
                "jepa3d-render",
                "jepa3d-pipeline",
                "jepa3d-loader",
                "jepa3d-store",
            ],
        ),
        ("jepa3d-fixtures", &["jepa3d-schemas", "jepa3d-grouping"]),
        (
            "jepa3d",
            &[
                "jepa3d-schemas",
                "jepa3d-datasets",
                "jepa3d-pipeline",
                "jepa3d-loader",
                "jepa3d-probe",
                "jepa3d-store",
                "jepa3d-torch",
                "jepa3d-train",
                "jepa3d-teachers",
                "jepa3d-inspect",
            ],
        ),
    ];
    let allowed = BTreeMap::from(allowed);
    // Tests may read real meshes and photos, draw numbers and open small sets made by hand: they are no part of what a
    // crate is built on.
    let in_tests: BTreeSet<(&str, &str)> = BTreeSet::from([
        ("jepa3d-render", "jepa3d-datasets"),
        ("jepa3d-products", "jepa3d-schemas"),
        ("jepa3d-kernels", "jepa3d-schemas"),
        ("jepa3d-loader", "jepa3d-fixtures"),
        ("jepa3d-train", "jepa3d-fixtures"),
        ("jepa3d-teachers", "jepa3d-fixtures"),
        ("jepa3d-inspect", "jepa3d-fixtures"),
    ]);
    let found = dependencies(|_| true);
    let built = dependencies(|kind| kind.is_none());
    assert!(found.len() >= 5, "{found:?}");
    for (package, dependencies) in &found {
        let may =
            allowed.get(package.as_str()).unwrap_or_else(|| panic!("no edges are agreed for {package}"));
        for sibling in dependencies.iter().filter(|name| found.contains_key(*name)) {
            let is_of_tests = in_tests.contains(&(package.as_str(), sibling.as_str()))
                && !built[package].contains(sibling.as_str());
            assert!(may.contains(&sibling.as_str()) || is_of_tests, "{package} must not import {sibling}");
        }
    }
}

#[test]
fn heavy_crates_stay_where_they_belong() {
    let owners: [(&str, &[&str]); 18] = [
        ("kuva", &["jepa3d-charts"]),
        ("parquet", &["jepa3d-schemas"]),
        ("arrow-array", &["jepa3d-schemas"]),
        ("polars", &["jepa3d-pipeline"]),
        ("candle-core", &["jepa3d-kernels", "jepa3d-train", "jepa3d-teachers"]),
        ("candle-nn", &["jepa3d-train"]),
        ("gemm", &["jepa3d-products"]),
        ("pulp", &["jepa3d-grouping", "jepa3d-kernels", "jepa3d-probe", "jepa3d-render", "jepa3d-train"]),
        ("re_sdk", &["jepa3d-inspect"]),
        ("nalgebra", &["jepa3d-probe"]),
        ("object_store", &["jepa3d-store"]),
        ("tokio", &["jepa3d-store"]),
        ("zip", &["jepa3d-datasets", "jepa3d-torch"]),
        ("clap", &["jepa3d"]),
        ("anyhow", &["jepa3d"]),
        ("indicatif", &["jepa3d"]),
        ("pyo3", &["jepa3d-python"]),
        ("numpy", &["jepa3d-python"]),
    ];
    for (package, dependencies) in dependencies(|kind| kind.is_none()) {
        for (heavy, owners) in owners {
            let may = owners.contains(&package.as_str()) || !dependencies.contains(heavy);
            assert!(may, "{package} must not depend on {heavy}");
        }
    }
}

/// Packages that a build of the workspace compiles, by name; nothing is built, or fetched.
fn built_packages() -> BTreeSet<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "tree",
            "--workspace",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--format",
            "{p}",
            "--offline",
            "--locked",
        ])
        .args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn without_the_feature_nothing_of_object_stores_is_built() {
    let built = built_packages();
    let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock")).unwrap();
    assert!(built.contains("parquet") && built.contains("jepa3d-store"), "{built:?}");
    for name in ["object_store", "reqwest", "quick-xml", "hyper-rustls", "md-5"] {
        assert!(lock.contains(&format!("\nname = \"{name}\"\n")), "{name}: the names are those of today");
        assert!(!built.contains(name), "{name} is built without the feature object-store");
    }
}
