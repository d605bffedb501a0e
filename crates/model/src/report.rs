//! Runs a check to its end and says what was covered.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use stateright::{Checker, Expectation, HasDiscoveries, Model};

/// Threads of one check.
const THREADS: usize = 2;

/// What a check found.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was checked, with its bounds.
    pub title: String,
    /// Distinct states.
    pub states: usize,
    /// States generated, repeated ones included.
    pub generated: usize,
    /// Steps of the longest of the shortest ways to a state.
    pub depth: usize,
    /// Time taken.
    pub elapsed: Duration,
    /// Whether every reachable state was visited.
    pub complete: bool,
    /// Properties that do not hold, each with its counter-example.
    pub violations: Vec<Violation>,
    /// Milestones that no state reached: the bounds are too small to show what they should.
    pub unreached: Vec<&'static str>,
}

/// A property that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The property.
    pub property: &'static str,
    /// The steps that lead there, one line each.
    pub steps: Vec<String>,
}

impl Outcome {
    /// Every reachable state was visited, every property holds in it, and every milestone was met on the way.
    pub fn is_proof(&self) -> bool {
        self.complete && self.violations.is_empty() && self.unreached.is_empty()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (states, generated) = (grouped(self.states), grouped(self.generated));
        let seconds = self.elapsed.as_secs_f64();
        let end = if self.complete { "complete" } else { "stopped" };
        write!(
            f,
            "{}: {states} states ({generated} generated), depth {}, {seconds:.1} s, {end}",
            self.title, self.depth
        )?;
        for milestone in &self.unreached {
            write!(f, "; never: {milestone}")?;
        }
        for violation in &self.violations {
            write!(f, "; \"{}\" fails after {} steps", violation.property, violation.steps.len())?;
        }
        Ok(())
    }
}

/// Visits every reachable state.
pub fn explore<M>(title: impl Into<String>, model: M) -> Outcome
where
    M: Model + Send + Sync + 'static,
    M::State: std::hash::Hash + Clone + PartialEq + fmt::Debug + Send + Sync + 'static,
    M::Action: Clone + PartialEq + fmt::Debug,
{
    run(title.into(), model, HasDiscoveries::All)
}

/// Stops at the first counter-example to `property`.
pub fn falsify<M>(title: impl Into<String>, model: M, property: &'static str) -> Outcome
where
    M: Model + Send + Sync + 'static,
    M::State: std::hash::Hash + Clone + PartialEq + fmt::Debug + Send + Sync + 'static,
    M::Action: Clone + PartialEq + fmt::Debug,
{
    let mut outcome = run(title.into(), model, HasDiscoveries::AnyOf(BTreeSet::from([property])));
    outcome.violations.retain(|violation| violation.property == property);
    outcome.unreached.clear();
    outcome
}

fn run<M>(title: String, model: M, until: HasDiscoveries) -> Outcome
where
    M: Model + Send + Sync + 'static,
    M::State: std::hash::Hash + Clone + PartialEq + fmt::Debug + Send + Sync + 'static,
    M::Action: Clone + PartialEq + fmt::Debug,
{
    let began = Instant::now();
    let until_the_end = matches!(until, HasDiscoveries::All);
    let checker = model.checker().threads(THREADS).finish_when(until).spawn_bfs().join();
    let discoveries = checker.discoveries();
    let (mut violations, mut unreached) = (Vec::new(), Vec::new());
    for property in checker.model().properties() {
        match (property.expectation, discoveries.get(property.name)) {
            (Expectation::Sometimes, None) => unreached.push(property.name),
            (Expectation::Always, Some(path)) => {
                let actions = path.clone().into_actions();
                let steps = actions.iter().map(|action| format!("{action:?}")).collect();
                violations.push(Violation { property: property.name, steps });
            }
            _ => {}
        }
    }
    violations.sort_by_key(|violation| (violation.steps.len(), violation.property));
    Outcome {
        title,
        states: checker.unique_state_count(),
        generated: checker.state_count(),
        depth: checker.max_depth(),
        elapsed: began.elapsed(),
        complete: checker.is_done() && until_the_end,
        violations,
        unreached,
    }
}

/// `1234567` as `1,234,567`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_are_grouped() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(123_456), "123,456");
    }
}
