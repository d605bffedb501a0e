//! datapipe-table-orders
