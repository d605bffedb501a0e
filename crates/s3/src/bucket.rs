//! The bucket itself: made where a stack is set up, never by a running pipeline.

use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use datapipe_core::port::{ErrorKind, PortError};

use crate::error::S3Error;
use crate::store::S3Store;

impl S3Store {
    /// Creates the bucket unless it is there already. True if it was made.
    pub async fn create_bucket(&self) -> Result<bool, PortError> {
        let config = self.config();
        let mut request = self.client().create_bucket().bucket(&config.bucket);
        // Amazon's oldest region refuses to be named; other stores ignore the name.
        if config.endpoint.is_none() && config.region != "us-east-1" {
            let place = BucketLocationConstraint::from(config.region.as_str());
            let place = CreateBucketConfiguration::builder().location_constraint(place).build();
            request = request.create_bucket_configuration(place);
        }
        let Err(error) = request.send().await else { return Ok(true) };
        let error = S3Error::from(error);
        if matches!(error.code(), "BucketAlreadyOwnedByYou" | "BucketAlreadyExists") {
            return Ok(false);
        }
        Err(error.into_port(config, "creating the bucket", ErrorKind::Retry))
    }
}
