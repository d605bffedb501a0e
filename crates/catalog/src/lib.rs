//! datapipe-catalog
