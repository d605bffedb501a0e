//! datapipe-model
pub mod capture;
pub mod contract;
pub mod report;
