//! The pipeline of table `orders`.

use datapipe_core::register;
use datapipe_core::table::{Table, TablePipeline};

/// What was bought, and by whom.
pub struct Orders;

impl TablePipeline for Orders {
    fn table(&self) -> Table {
        Table::new("orders", 8085)
    }
}

register!(Orders);
