//! The pipeline of table `products`.

use datapipe_core::register;
use datapipe_core::table::{Table, TablePipeline};

/// What is for sale.
pub struct Products;

impl TablePipeline for Products {
    fn table(&self) -> Table {
        Table::new("products", 8084)
    }
}

register!(Products);
