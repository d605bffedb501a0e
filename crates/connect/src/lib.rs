//! datapipe-connect
