//! datapipe-s3
