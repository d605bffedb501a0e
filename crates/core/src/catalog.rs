//! The tables that a program knows.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::convention;
use crate::table::{Table, TablePipeline};

/// Registers a table's pipeline, so that [`Catalog::linked`] finds it in every program that links the crate. A
/// program links a crate only if its source names it: `datapipe-catalog` does so for all tables.
#[macro_export]
macro_rules! register {
    ($pipeline:expr) => {
        $crate::private::inventory::submit! { $crate::catalog::Registered::new(&$pipeline) }
    };
}

/// An entry of the registry, made by [`register!`](crate::register).
#[derive(Clone, Copy)]
pub struct Registered(&'static dyn TablePipeline);

impl Registered {
    /// Wraps a pipeline.
    pub const fn new(pipeline: &'static dyn TablePipeline) -> Self {
        Self(pipeline)
    }
}

inventory::collect!(Registered);

/// A set of pipelines without clashes, ordered by the table's name.
#[derive(Clone)]
pub struct Catalog {
    pipelines: Vec<(Table, Arc<dyn TablePipeline>)>,
}

/// Why a set of pipelines is no catalog.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// Nothing is registered.
    #[error(
        "no table is registered in this program; link the tables by `use datapipe_catalog as _;` or pass them to \
         Catalog::of"
    )]
    Empty,
    /// Two pipelines claim the same.
    #[error("{what} {value} is declared by {first} and by {second}; {remedy}")]
    Clash {
        /// What they claim: `table`, `slug` or `port`.
        what: &'static str,
        /// Its value.
        value: String,
        /// The first table, with its schema.
        first: String,
        /// The second table, with its schema.
        second: String,
        /// What to do about it.
        remedy: &'static str,
    },
}

impl Catalog {
    /// The pipelines registered by the crates that this program links.
    pub fn linked() -> Result<Self, Vec<CatalogError>> {
        Self::of(
            inventory::iter::<Registered>.into_iter().map(|entry| Arc::new(Linked(entry.0)) as Arc<dyn TablePipeline>),
        )
    }

    /// A catalog of the given pipelines, without global state.
    pub fn of(pipelines: impl IntoIterator<Item = Arc<dyn TablePipeline>>) -> Result<Self, Vec<CatalogError>> {
        let mut pipelines: Vec<_> = pipelines.into_iter().map(|pipeline| (pipeline.table(), pipeline)).collect();
        if pipelines.is_empty() {
            return Err(vec![CatalogError::Empty]);
        }
        pipelines.sort_by(|(a, _), (b, _)| (&a.name, &a.schema, a.port).cmp(&(&b.name, &b.schema, b.port)));
        let clashes = clashes(pipelines.iter().map(|(table, _)| table));
        if clashes.is_empty() { Ok(Self { pipelines }) } else { Err(clashes) }
    }

    /// The pipelines in the order of their tables' names.
    pub fn iter(&self) -> impl Iterator<Item = (&Table, &dyn TablePipeline)> {
        self.pipelines.iter().map(|(table, pipeline)| (table, pipeline.as_ref()))
    }

    /// The tables' names in order.
    pub fn tables(&self) -> impl Iterator<Item = &str> {
        self.pipelines.iter().map(|(table, _)| table.name.as_str())
    }
}

/// A registered pipeline is borrowed for ever; a catalog owns its own.
struct Linked(&'static dyn TablePipeline);

impl TablePipeline for Linked {
    fn table(&self) -> Table {
        self.0.table()
    }
    fn source(&self, convention: crate::table::Source) -> crate::table::Source {
        self.0.source(convention)
    }
    fn topic(&self, convention: crate::table::Topic) -> crate::table::Topic {
        self.0.topic(convention)
    }
    fn sink(&self, convention: crate::table::Sink) -> crate::table::Sink {
        self.0.sink(convention)
    }
    fn worker(&self, convention: crate::table::Worker) -> crate::table::Worker {
        self.0.worker(convention)
    }
}

fn clashes<'a>(tables: impl Iterator<Item = &'a Table>) -> Vec<CatalogError> {
    let mut claims: BTreeMap<(&str, String), String> = BTreeMap::new();
    let mut found = Vec::new();
    for table in tables {
        let place = format!("{}.{}", table.schema, table.name);
        let wanted = [
            ("table", table.name.clone(), "all names follow from the table's name alone: rename one of the tables"),
            ("slug", convention::slug(&table.name), "names in Kafka follow from the slug: rename one of the tables"),
            ("port", table.port.to_string(), "give one of them another port, in its declaration"),
        ];
        let mut named_alike = false;
        for (what, value, remedy) in wanted {
            let Some(first) = claims.insert((what, value.clone()), place.clone()) else { continue };
            // The same name implies the same slug.
            if what != "slug" || !named_alike {
                found.push(CatalogError::Clash { what, value, first, second: place.clone(), remedy });
            }
            named_alike |= what == "table";
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Declared(Table);

    impl TablePipeline for Declared {
        fn table(&self) -> Table {
            self.0.clone()
        }
    }

    fn of<const N: usize>(tables: [Table; N]) -> Result<Catalog, Vec<CatalogError>> {
        Catalog::of(tables.map(|table| Arc::new(Declared(table)) as Arc<dyn TablePipeline>))
    }

    #[test]
    fn tables_are_sorted() {
        let catalog = of([Table::new("users", 8083), Table::new("orders", 8085)]).unwrap();
        assert!(catalog.tables().eq(["orders", "users"]));
    }

    #[test]
    fn nothing_registered_is_an_error() {
        assert_eq!(of([]).err(), Some(vec![CatalogError::Empty]));
        assert_eq!(Catalog::linked().err(), Some(vec![CatalogError::Empty]), "core links no table");
    }

    #[test]
    fn each_clash_is_named_once() {
        let clashes = |tables| of::<2>(tables).err().unwrap().iter().map(CatalogError::to_string).collect::<Vec<_>>();
        let port = clashes([Table::new("users", 8083), Table::new("orders", 8083)]);
        assert_eq!(
            port,
            [
                "port 8083 is declared by public.orders and by public.users; give one of them another port, in its declaration"
            ]
        );
        let table = clashes([Table::new("users", 8083), Table::new("users", 8084).with_schema("shop")]);
        assert_eq!(table.len(), 1);
        assert!(table[0].starts_with("table users is declared by public.users and by shop.users"), "{}", table[0]);
        let slug = clashes([Table::new("order_items", 8083), Table::new("order-items", 8084)]);
        assert_eq!(slug.len(), 1);
        assert!(slug[0].starts_with("slug order-items is declared by"), "{}", slug[0]);
    }
}
