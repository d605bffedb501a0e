//! datapipe-boot
