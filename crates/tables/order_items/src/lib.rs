//! datapipe-table-order-items
