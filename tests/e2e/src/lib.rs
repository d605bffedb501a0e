//! Tests, faults and benchmarks on real servers.
//!
//! A test plays on a [`stage`]. The fault runner ([`kills`]) kills workers under load, round after round, and judges each round by an oracle of its
//! own ([`oracle`]), which shares no code with the proof that datapipe itself brings along.

pub mod clients;
pub mod foreign;
pub mod kills;
pub mod latency;
pub mod limit;
pub mod load;
pub mod oracle;
pub mod process;
pub mod recorded;
pub mod servers;
pub mod stage;
pub mod topic;
pub mod traffic;

/// What went wrong in a test's own machinery.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
/// A result of the tests' own machinery.
pub type Result<T> = std::result::Result<T, Error>;
