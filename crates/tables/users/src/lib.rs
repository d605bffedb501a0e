//! datapipe-table-users
