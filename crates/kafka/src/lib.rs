//! datapipe-kafka
