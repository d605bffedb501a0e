# The commands of this workspace. `just` comes from PyPI as rust-just; every recipe is one line that works without it.

# everything that CI runs
test:
    scripts/test

# format, lints, documentation, licences and dependencies
check:
    scripts/test --only lint && cargo test --locked -p datapipe-catalog

# see it work
demo *ARGS:
    cargo run --release --bin datapipe-run -- demo {{ARGS}}

# kill -9 rounds on real servers; resumes after the last one on record
kills *ARGS:
    cargo run --release -p datapipe-e2e --bin kills -- {{ARGS}}

# a million schedules of the engine's simulation
simulate:
    DATAPIPE_SIM_SCHEDULES=1000000 cargo test --release -p datapipe-engine --test simulation -- --nocapture

# what the model checker explores
model:
    cargo run --release -p datapipe-model --example check

# figures
bench *ARGS:
    cargo build --release --bin datapipe-run && cargo run --release -p datapipe-e2e --bin bench -- {{ARGS}}

# one shared Kafka Connect worker against a worker for each table, on a real Kubernetes; takes root
compare:
    scripts/k8s test comparison
