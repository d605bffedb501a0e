use super::{Category, Check, check};

pub(super) const CHECKS: [Check; 1] = [check(
    "DP0601",
    Category::Data,
    [
        "S3 holds what PostgreSQL holds",
        "With `--data`: every object of the table, folded to rows, and the table's own rows, compared by key; and whether the objects tile the topic.",
        "Everything else may be well and a row be wrong.",
        "The finding names keys. Rows that are under way count as lost until their object is written: ask again with `--wait`.",
    ],
)];
