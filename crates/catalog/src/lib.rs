//! All tables of this deployment, linked into whatever program depends on this crate and says
//! `use datapipe_catalog as _;`.
//!
//! A dependency in Cargo.toml alone registers nothing: the linker leaves out a crate that no source names. So each
//! table stands here as one `use` line, and the compiler refuses a table dependency that has none.
#![cfg_attr(not(test), deny(unused_crate_dependencies))]

use datapipe_core::catalog::{Catalog, CatalogError};

use datapipe_table_order_items as _;
use datapipe_table_orders as _;
use datapipe_table_products as _;
use datapipe_table_users as _;

/// The catalog of all tables.
pub fn all() -> Result<Catalog, Vec<CatalogError>> {
    Catalog::linked()
}
