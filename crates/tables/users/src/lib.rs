//! The pipeline of table `users`.

use datapipe_core::register;
use datapipe_core::table::{Table, TablePipeline};

/// The people who buy.
pub struct Users;

impl TablePipeline for Users {
    fn table(&self) -> Table {
        Table::new("users", 8083)
    }
}

register!(Users);
