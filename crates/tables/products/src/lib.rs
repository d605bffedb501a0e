//! datapipe-table-products
