//! The simulation's await points are all that the engine has.
//!
//! Every call of a port in the engine's sources is counted; a method that is awaited at more places than the
//! simulation tells apart, or at one that it does not know, makes its 100 % mean nothing, and fails here.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test says what is wrong by panicking")]

use std::collections::BTreeMap;
use std::path::Path;

use datapipe_testkit::sim::Point;

/// What the ports' fields and arguments are called in the sources, as in [`Point::method`].
const PORTS: [&str; 6] = ["source.", "log.", "channel.", "reader.", "store.", "dead_letters."];

/// Places in the sources per method, where they differ from the simulation's points: one place that several steps
/// of the engine go through, each of them a point of its own.
const SHARED_PLACES: [(&str, usize); 7] = [
    ("log.commit", 1),
    ("reader.seek", 1),
    ("reader.commit", 1),
    ("store.head", 1),
    ("source.stop", 3),
    ("source.open_snapshot", 1),
    ("source.start", 1),
];

fn sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else {
            let source = std::fs::read_to_string(&path).unwrap();
            let code = source.split("#[cfg(test)]").next().unwrap();
            text.extend(code.lines().filter(|line| !line.trim_start().starts_with("//")));
        }
    }
}

/// Where the parenthesis is that closes an argument list.
fn closing(arguments: &str) -> Option<usize> {
    let mut depth = 1;
    arguments.char_indices().find_map(|(at, c)| {
        depth += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        (depth == 0).then_some(at)
    })
}

/// `port.method` of every awaited call of a port, and how often it stands there.
fn places() -> BTreeMap<String, usize> {
    let mut text = String::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut text);
    let text: String = text.split_whitespace().collect();
    let mut places = BTreeMap::new();
    for call in text.split(".await").filter(|call| call.len() < text.len()) {
        for port in PORTS {
            let Some(at) = call.rfind(port) else { continue };
            let rest = &call[at + port.len()..];
            let Some((method, arguments)) = rest.split_once('(') else { continue };
            let is_name = method.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            if is_name && closing(arguments) == Some(arguments.len() - 1) {
                *places.entry(format!("{port}{method}")).or_default() += 1;
            }
        }
    }
    places
}

#[test]
fn every_awaited_call_of_a_port_is_a_point_of_the_simulation() {
    let mut points: BTreeMap<String, usize> = BTreeMap::new();
    for point in Point::ALL {
        *points.entry(point.method().to_owned()).or_default() += 1;
    }
    for (method, places) in SHARED_PLACES {
        assert!(points.get(method).is_some_and(|points| *points >= places), "{method} has fewer points than places");
        points.insert(method.to_owned(), places);
    }
    assert_eq!(places(), points, "awaited calls in the sources (left) and points of the simulation (right)");
}
