//! datapipe-testkit
