//! Tests, faults and benchmarks on real servers.
