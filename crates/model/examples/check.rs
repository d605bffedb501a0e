//! Prints what the checks cover and what each broken rule breaks, as the documentation shows it.

use std::io::{self, Write};

use datapipe_model::{capture, chain, table};

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for check in [table::capture, table::capture_with_slot_change, table::chain, table::chain_on_every_log] {
        writeln!(out, "{}", check())?;
    }
    for mutation in capture::Mutation::ALL {
        writeln!(out, "{}", table::capture_broken(mutation))?;
    }
    for mutation in chain::Mutation::ALL {
        writeln!(out, "{}", table::chain_broken(mutation))?;
    }
    Ok(())
}
