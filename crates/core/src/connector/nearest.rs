use super::keys::{Plugin, Served};

/// A guess that is further off than this many edits is none.
const EDITS_MAX: usize = 4;

/// The served key that was probably meant: a misspelt one, or one that goes on where this one ends.
pub(super) fn nearest(plugin: &Plugin, key: &str) -> Option<&'static str> {
    let served = || plugin.keys().filter(|declared| declared.served != Served::Default).map(|declared| declared.name);
    let edits_max = EDITS_MAX.min(key.len() / 3);
    let edits = |candidate: &str| strsim::osa_distance(key, candidate);
    let misspelt = served().filter(|candidate| (1..=edits_max).contains(&edits(candidate)));
    let extends = |candidate: &&str| candidate.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'));
    misspelt.min_by_key(|candidate| edits(candidate)).or_else(|| served().find(extends))
}
