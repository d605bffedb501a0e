//! datapipe-postgres
