use super::{Category, Check, check};

pub(super) const CHECKS: [Check; 5] = [
    check(
        "DP0501",
        Category::S3,
        [
            "the bucket can be listed",
            "The objects below the table's prefix, with the sink's keys.",
            "The sink needs the same endpoint, bucket and keys.",
            "The message says what failed: the endpoint, the keys, the bucket or its policy. Looking needs `s3:ListBucket` on the bucket and `s3:GetObject` on its objects; the sink needs `s3:PutObject` beside them.",
        ],
    ),
    check(
        "DP0502",
        Category::S3,
        [
            "objects come",
            "The newest object by its name, and the latest time of a record in it.",
            "A sink that runs and writes nothing has nothing to write, or cannot.",
            "Compare with DP0403: without lag the table is quiet; with it, read the sink's log.",
        ],
    ),
    check(
        "DP0503",
        Category::S3,
        [
            "objects are not a storm of small ones",
            "Size and time of the last objects, as far as they say it.",
            "Each object costs a request, and readers open all of them: thousands of small ones make a table slow and dear.",
            "Raise `sink.rows_max`, `sink.bytes_max` or `sink.age_max`: whichever is reached first cuts the object.",
        ],
    ),
    check(
        "DP0504",
        Category::S3,
        [
            "clocks agree",
            "The header `Date` of the store's answer beside the clock of whoever verifies.",
            "A store refuses requests that are 15 minutes away from its clock, and an object's hour comes from a clock.",
            "Let the clocks be set by NTP: `timedatectl status` says whether this one is.",
        ],
    ),
    check(
        "DP0505",
        Category::S3,
        [
            "the store creates no object twice",
            "What the native sink's own test at its start came to, by the task's status. Nothing is written for this.",
            "On a store without atomic conditional writes a restarted writer may lose or double rows.",
            "Use a store with conditional writes: Amazon S3, or `MinIO` of 2024-12 and later.",
        ],
    ),
];
