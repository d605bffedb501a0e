//! The time that each part of `scripts/test` took, against its share in `scripts/budget`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test says what is wrong by panicking")]

use std::path::PathBuf;

/// Lines of `NAME SECONDS`.
fn read(path: &str) -> Vec<(String, u64)> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pair = |line: &str| {
        let (name, seconds) = line.split_once(' ').unwrap_or_else(|| panic!("{path}: {line}"));
        (name.to_owned(), seconds.parse().unwrap_or_else(|error| panic!("{path}: {line}: {error}")))
    };
    lines.map(pair).collect()
}

#[test]
#[ignore = "scripts/test runs it last: it reads the times that the parts took"]
#[expect(clippy::disallowed_methods, reason = "scripts/test says where the times are")]
fn no_part_takes_more_than_twice_its_share() {
    let budget = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../scripts/budget");
    let shares = read(budget.to_str().unwrap());
    let took = read(&std::env::var("DATAPIPE_PART_TIMES").expect("scripts/test sets DATAPIPE_PART_TIMES"));
    let mut late = Vec::new();
    for (part, seconds) in &took {
        let (_, share) = shares.iter().find(|(name, _)| name == part).unwrap_or_else(|| panic!("{part} has no share"));
        println!("{part:>12} took {seconds:>5} s of {share:>5} s");
        if *seconds > 2 * share {
            late.push(part);
        }
    }
    let total: u64 = took.iter().map(|(_, seconds)| seconds).sum();
    println!("{:>12} took {total:>5} s", "all");
    assert!(!took.is_empty(), "no part was timed");
    assert!(late.is_empty(), "these took more than twice their share: {late:?}");
}
