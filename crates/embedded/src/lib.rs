//! datapipe-embedded
