//! datapipe-engine
