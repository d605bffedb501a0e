//! What pods take and nodes have: processor time, memory, pods.

use std::ops::{Add, Sub};

use serde_json::Value;

/// Each in thousandths of its unit (a core, a byte, a pod), as Kubernetes' own finest quantity is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) cpu: u128,
    pub(super) memory: u128,
    pub(super) pods: u128,
}

impl Add for Amount {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { cpu: self.cpu + other.cpu, memory: self.memory + other.memory, pods: self.pods + other.pods }
    }
}

impl Sub for Amount {
    type Output = Self;

    /// Nothing is left where more is taken than there is.
    fn sub(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(other.cpu),
            memory: self.memory.saturating_sub(other.memory),
            pods: self.pods.saturating_sub(other.pods),
        }
    }
}

impl Amount {
    /// Of a list of resources, as a node's `allocatable`.
    pub(super) fn of(list: &Value) -> Self {
        let one = |key: &str| thousandths(&list[key]).unwrap_or(0);
        Self { cpu: one("cpu"), memory: one("memory"), pods: one("pods") }
    }

    pub(super) fn fits(self, room: Self) -> bool {
        self.cpu <= room.cpu && self.memory <= room.memory && self.pods <= room.pods
    }

    fn most(self, other: Self) -> Self {
        Self { cpu: self.cpu.max(other.cpu), memory: self.memory.max(other.memory), pods: self.pods.max(other.pods) }
    }

    /// What a pod takes of `requests` or of `limits`: its containers together, or the largest that runs before them.
    pub(super) fn of_pod(spec: &Value, which: &str) -> Self {
        let list = |key: &str| spec[key].as_array().cloned().unwrap_or_default();
        let taken = |container: &Value| {
            let asked = Self::of(&container["resources"][which]);
            // What is not requested is requested as its limit.
            let limits = Self::of(&container["resources"]["limits"]);
            let or = |own: u128, limit: u128| if own == 0 { limit } else { own };
            Self { cpu: or(asked.cpu, limits.cpu), memory: or(asked.memory, limits.memory), pods: 0 }
        };
        let stays = |container: &&Value| container["restartPolicy"] == "Always";
        let (containers, inits) = (list("containers"), list("initContainers"));
        let together = containers.iter().chain(inits.iter().filter(stays)).map(taken).fold(Self::default(), Add::add);
        let first = inits.iter().filter(|init| !stays(init)).map(taken).fold(Self::default(), Self::most);
        Self { pods: 1000, ..together.most(first) }
    }
}

/// A quantity of Kubernetes in thousandths: `100m`, `1.5`, `250Mi`, `2G`, `1e3`. None if it is none.
pub(in crate::apply) fn thousandths(quantity: &Value) -> Option<u128> {
    let text = quantity.as_str().map_or_else(|| quantity.to_string(), str::to_owned);
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (numerator, denominator): (u128, u128) = match unit {
        "m" => (1, 1000),
        "" => (1, 1),
        "k" => (1000, 1),
        "M" => (1_000_000, 1),
        "G" => (1_000_000_000, 1),
        "T" => (1_000_000_000_000, 1),
        "P" => (1_000_000_000_000_000, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        _ => (10_u128.checked_pow(unit.strip_prefix(['e', 'E'])?.parse().ok()?)?, 1),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    // Finer than thousandths is nothing that is compared here.
    let fraction: String = fraction.chars().chain("000".chars()).take(3).collect();
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let all = whole.checked_mul(1000)?.checked_add(fraction.parse().ok()?)?;
    Some(all.checked_mul(numerator)? / denominator)
}

/// For people: `125m`, `2`, `250Mi`, `20Gi`, `900` bytes.
pub(super) fn shown(resource: &str, thousandths: u128) -> String {
    let whole = thousandths.div_ceil(1000);
    if resource.ends_with("memory") {
        let units = [("Gi", 1_u128 << 30), ("Mi", 1 << 20)];
        let unit =
            units.into_iter().find(|(unit, size)| whole >= *size && (*unit == "Mi" || whole.is_multiple_of(*size)));
        return unit.map_or(whole.to_string(), |(unit, size)| format!("{}{unit}", whole / size));
    }
    if thousandths.is_multiple_of(1000) { whole.to_string() } else { format!("{thousandths}m") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities() {
        let cases: [(Value, u128); 10] = [
            (json!("100m"), 100),
            (json!("1"), 1000),
            (json!(2), 2000),
            (json!("1.5"), 1500),
            (json!(".5"), 500),
            (json!("250Mi"), 250 * (1 << 20) * 1000),
            (json!("1.5Gi"), 3 * (1 << 29) * 1000),
            (json!("2G"), 2_000_000_000_000),
            (json!("1e3"), 1_000_000),
            (json!("128974848"), 128_974_848_000),
        ];
        for (text, expected) in cases {
            assert_eq!(thousandths(&text), Some(expected), "{text}");
        }
        for none in [json!(null), json!("much"), json!("1Zi"), json!("1e99")] {
            assert_eq!(thousandths(&none), None, "{none}");
        }
        assert_eq!(shown("limits.memory", 250 * (1 << 20) * 1000), "250Mi");
        assert_eq!(
            (shown("memory", 20 * (1 << 30) * 1000), shown("memory", 900_000)),
            ("20Gi".to_owned(), "900".to_owned())
        );
        assert_eq!((shown("cpu", 125), shown("requests.cpu", 2000)), ("125m".to_owned(), "2".to_owned()));
    }

    #[test]
    fn a_pod_takes_its_containers_together_or_the_largest_before_them() {
        let one = |memory: &str| json!({ "resources": { "limits": { "memory": memory } } });
        let mut spec = json!({ "containers": [one("196Mi"), one("54Mi")], "initContainers": [one("64Mi")] });
        let memory = |spec: &Value| (Amount::of_pod(spec, "requests").memory / 1000) >> 20;
        assert_eq!(memory(&spec), 250, "requests are limits where none is given");
        spec["initContainers"][0] = one("512Mi");
        assert_eq!(memory(&spec), 512);
        spec["initContainers"][0]["restartPolicy"] = json!("Always");
        assert_eq!(memory(&spec), 762);
    }
}
