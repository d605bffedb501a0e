//! The store's clock, as its answers show it.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use datapipe_core::port::{ErrorKind, PortError};

use crate::error::S3Error;
use crate::store::S3Store;

impl S3Store {
    /// The time that the store's answer to a small listing bears, in milliseconds since 1970-01-01 UTC, to the second;
    /// none if it has no header `Date`. A store refuses requests whose own time is 15 minutes away from its clock.
    pub async fn date_ms(&self, prefix: &str) -> Result<Option<i64>, PortError> {
        let config = self.config();
        let date = Date::default();
        let request = self.client().list_objects_v2().bucket(&config.bucket).prefix(prefix).max_keys(1);
        let sent = request.customize().interceptor(date.clone()).send().await;
        let seen = date.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (seen, sent) {
            (Some(date), _) => Ok(Some(date.saturating_mul(1000))),
            (None, Ok(_)) => Ok(None),
            (None, Err(error)) => {
                Err(S3Error::from(error).into_port(config, &format!("listing {prefix}"), ErrorKind::Retry))
            }
        }
    }
}

/// Takes the date from an answer, whatever its status.
#[derive(Clone, Debug, Default)]
struct Date(Arc<Mutex<Option<i64>>>);

impl Intercept for Date {
    fn name(&self) -> &'static str {
        "Date"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let date = date.and_then(|date| DateTime::from_str(date, DateTimeFormat::HttpDate).ok());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date.map(|date| date.secs());
        Ok(())
    }
}
