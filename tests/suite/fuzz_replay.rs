//! The seeds of the fuzz targets and every input that ever failed one, through the same oracles (docs/fuzzing.md).

use std::fs;
use std::path::{Path, PathBuf};

#[path = "../../fuzz/oracles/mod.rs"]
mod oracles;

/// The files in a folder of fuzz/, by name; none when there is no such folder.
fn inputs(folder: &str, target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(folder).join(target);
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn every_seed_and_every_regression_passes_its_oracle() {
    for (target, oracle) in oracles::ALL {
        let seeds = inputs("corpus", target);
        assert!(!seeds.is_empty(), "{target} has no seeds");
        for (path, input) in seeds.into_iter().chain(inputs("regressions", target)) {
            println!("{}", path.display());
            oracle(&input);
        }
    }
}

#[test]
fn every_oracle_has_a_target_and_every_target_an_oracle() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    let mut targets: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect();
    targets.sort();
    let mut named = oracles::ALL.map(|(target, _)| target);
    named.sort_unstable();
    assert_eq!(targets, named);
}
