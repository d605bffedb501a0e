//! Traffic as a shop has it: transactions over several tables, bulk loads, rollbacks, deletes, changed keys.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use datapipe_core::port::PortError;
use datapipe_postgres::Session;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// The tables, in the order of the counters.
pub(super) const TABLES: [&str; 4] = ["users", "products", "orders", "order_items"];
const USERS: usize = 0;
const PRODUCTS: usize = 1;
const ORDERS: usize = 2;
const ITEMS: usize = 3;

/// Events that committed transactions make, per table.
#[derive(Debug, Default)]
pub(super) struct Committed([AtomicU64; 4]);

impl Committed {
    pub(super) fn get(&self, table: usize) -> u64 {
        self.0[table].load(Ordering::Relaxed)
    }

    fn add(&self, table: usize, rows: u64) {
        self.0[table].fetch_add(rows, Ordering::Relaxed);
    }

    pub(super) fn sum(&self) -> u64 {
        (0..TABLES.len()).map(|table| self.get(table)).sum()
    }
}

/// One transaction: its statements, and what each one changes (none: nothing, or it is rolled back).
struct Transaction {
    sql: String,
    changes: Vec<Option<Change>>,
}

#[derive(Clone, Copy)]
struct Change {
    table: usize,
    events_per_row: u64,
}

impl Transaction {
    fn new() -> Self {
        Self { sql: "BEGIN;".to_owned(), changes: vec![None] }
    }

    fn change(self, table: usize, sql: &str) -> Self {
        self.statement(sql, Some(Change { table, events_per_row: 1 }))
    }

    /// A row that gets another key is deleted under the old one and created under the new one.
    fn change_key(self, table: usize, sql: &str) -> Self {
        self.statement(sql, Some(Change { table, events_per_row: 2 }))
    }

    fn other(self, sql: &str) -> Self {
        self.statement(sql, None)
    }

    fn statement(mut self, sql: &str, change: Option<Change>) -> Self {
        self.sql.push_str(sql);
        self.sql.push(';');
        self.changes.push(change);
        self
    }

    fn commit(self) -> Self {
        self.other("COMMIT")
    }
}

/// Fills the tables before anything is captured: a quarter of the rows each for users and products, the rest orders
/// and their items.
pub(super) async fn fill(session: &Session, rows: u64, committed: &Committed) -> Result<(), PortError> {
    let quarter = (rows / 4).max(10);
    let users = format!(
        "INSERT INTO users (email, name, born_on, preferences, seen_at) \
         SELECT 'user' || n || '@example.org', 'User ' || n, DATE '1950-01-01' + (n % 20000)::int, \
                jsonb_build_object('lang', (ARRAY['en','de','fr','ja'])[1 + n % 4], 'n', n), \
                CASE WHEN n % 3 = 0 THEN now() - n * interval '1 minute' END \
         FROM generate_series(1, {quarter}) n"
    );
    let products = format!(
        "INSERT INTO products (title, price, stock, tags, weight_kg, description) \
         SELECT 'Product ' || n, (n % 10000) / 100.0 + 0.99, n % 500, \
                CASE n % 3 WHEN 0 THEN ARRAY['new','sale'] WHEN 1 THEN ARRAY['it''s \"quoted\"'] ELSE '{{}}' END, \
                CASE WHEN n % 5 > 0 THEN n / 7.0 END, CASE WHEN n % 2 = 0 THEN repeat('text ' || n || ' ', 20) END \
         FROM generate_series(1, {quarter}) n"
    );
    let orders = format!(
        "INSERT INTO orders (user_id, status, total, ship_to, note) \
         SELECT 1 + n % {quarter}, (enum_range(NULL::order_status))[1 + n % 5], n / 3.0, \
                CASE WHEN n % 2 = 0 THEN inet '10.0.0.1' + n END, CASE WHEN n % 7 = 0 THEN E'line one\\nline two' END \
         FROM generate_series(1, {quarter}) n"
    );
    let items = format!(
        "INSERT INTO order_items (order_id, product_id, quantity, unit_price, options, gift) \
         SELECT 1 + n % {quarter}, 1 + (n * 7) % {quarter}, 1 + n % 9, (n % 5000) / 100.0, \
                CASE WHEN n % 4 = 0 THEN ARRAY['red', NULL, 'XL'] END, (ARRAY[true, false, NULL])[1 + n % 3] \
         FROM generate_series(1, {quarter}) n"
    );
    for (table, sql) in [users, products, orders, items].iter().enumerate() {
        let counts = session.run(sql).await?;
        committed.add(table, counts.iter().sum());
    }
    Ok(())
}

/// Changes rows at about `rate` rows per second for as long as told, or until the stop signal.
pub(super) async fn run(
    session: &Session,
    rate: u32,
    span: Duration,
    committed: &Committed,
    stop: &CancellationToken,
) -> Result<(), PortError> {
    const TICK: Duration = Duration::from_millis(20);
    let mut rng = SmallRng::seed_from_u64(7);
    let started = Instant::now();
    let begun_with = committed.sum();
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while started.elapsed() < span && !stop.is_cancelled() {
        let due = started.elapsed().as_secs_f64() * f64::from(rate);
        #[expect(clippy::cast_precision_loss, reason = "a rate needs no exact count")]
        let done = (committed.sum() - begun_with) as f64;
        if done >= due {
            tick.tick().await;
            continue;
        }
        let transaction = random(&mut rng);
        let counts = session.run(&transaction.sql).await?;
        for (change, rows) in transaction.changes.iter().zip(&counts) {
            if let Some(Change { table, events_per_row }) = change {
                committed.add(*table, rows * events_per_row);
            }
        }
    }
    Ok(())
}

fn random(rng: &mut SmallRng) -> Transaction {
    let pick = |max: &str| format!("(SELECT 1 + floor(random() * max(id))::bigint FROM {max})");
    match rng.random_range(0..100) {
        0..45 => new_order(rng),
        45..60 => Transaction::new()
            .change(USERS, &format!("UPDATE users SET seen_at = clock_timestamp() WHERE id = {}", pick("users")))
            .commit(),
        60..75 => Transaction::new()
            .change(
                PRODUCTS,
                &format!(
                    "UPDATE products SET price = price * 1.01, updated_at = clock_timestamp() WHERE id = {}",
                    pick("products")
                ),
            )
            .commit(),
        75..88 => Transaction::new()
            .change(
                ORDERS,
                &format!(
                    "UPDATE orders SET status = 'shipped', shipped_at = localtimestamp, total = total + 1 WHERE id = {}",
                    pick("orders")
                ),
            )
            .commit(),
        88..93 => {
            let order = rng.random_range(1..5000);
            Transaction::new()
                .change(ITEMS, &format!("DELETE FROM order_items WHERE order_id = {order}"))
                .change(ORDERS, &format!("DELETE FROM orders WHERE id = {order}"))
                .commit()
        }
        93..96 => Transaction::new()
            .change(
                USERS,
                "INSERT INTO users (email, name) SELECT gen_random_uuid() || '@example.org', 'Bulk ' || n \
                 FROM generate_series(1, 100) n",
            )
            .commit(),
        96..98 => Transaction::new()
            .change_key(ITEMS, &format!("UPDATE order_items SET id = nextval('order_items_id_seq') WHERE id = {}", pick("order_items")))
            .commit(),
        _ => Transaction::new()
            .change(PRODUCTS, &format!("UPDATE products SET stock = stock + 1 WHERE id = {}", pick("products")))
            .other("SAVEPOINT a")
            .other(&format!("UPDATE users SET active = NOT active WHERE id = {}", pick("users")))
            .other("ROLLBACK TO SAVEPOINT a")
            .commit(),
    }
}

fn new_order(rng: &mut SmallRng) -> Transaction {
    let items = rng.random_range(1..=4);
    Transaction::new()
        .change(
            ORDERS,
            "INSERT INTO orders (user_id, total, ship_to) \
             SELECT id, round((random() * 500)::numeric, 2), '192.168.0.1' FROM users \
             WHERE id >= (SELECT floor(random() * max(id))::bigint FROM users) ORDER BY id LIMIT 1",
        )
        .change(
            ITEMS,
            &format!(
                "INSERT INTO order_items (order_id, product_id, quantity, unit_price) \
                 SELECT currval('orders_id_seq'), p.id, 1 + floor(random() * 5)::int, p.price \
                 FROM (SELECT id, price FROM products ORDER BY id OFFSET floor(random() * 100) LIMIT {items}) p"
            ),
        )
        .change(PRODUCTS, "UPDATE products SET stock = stock - 1 WHERE id = (SELECT 1 + floor(random() * 50)::bigint)")
        .commit()
}
