//! Where datapipe's objects lie: [`datapipe_core::port::store::ObjectStore`] on S3 and the stores that speak its
//! protocol.
//!
//! An object is created by one PUT with `If-None-Match: *`, so that of any number of writers exactly one creates it.
//! Amazon S3 honours that since August 2024 and `MinIO` since late 2024; a store that ignores the condition would let a restarted
//! writer overwrite an object, and [`probe`](datapipe_core::port::store::ObjectStore::probe) names it before anything
//! is written.
//!
//! ```no_run
//! use datapipe_core::Secret;
//! use datapipe_s3::{Credentials, S3Config, S3Store};
//!
//! let credentials = Credentials::new(Secret::new("minio"), Secret::new("minio-secret"));
//! let store = S3Store::new(S3Config::at("http://127.0.0.1:9000", "us-east-1", "lake", credentials));
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod body;
mod bucket;
mod client;
mod clock;
mod config;
mod error;
mod store;

pub use config::{Credentials, Limits, S3Config};
pub use error::S3Error;
pub use store::{PROBE_NAME, S3Store};
