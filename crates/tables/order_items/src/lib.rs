//! The pipeline of table `order_items`.

use datapipe_core::register;
use datapipe_core::table::{Table, TablePipeline};

/// The lines of each order.
pub struct OrderItems;

impl TablePipeline for OrderItems {
    fn table(&self) -> Table {
        Table::new("order_items", 8086)
    }
}

register!(OrderItems);
