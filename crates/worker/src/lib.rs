//! datapipe-worker
