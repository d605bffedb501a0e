//! The contract that the change source in memory keeps, kept by a real server.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use async_trait::async_trait;
use datapipe_core::port::source::ChangeSource;
use datapipe_postgres::PgSource;
use datapipe_testkit::contract;
use tokio_postgres::Client;

struct Real {
    server: support::Server,
    client: Client,
}

#[async_trait]
impl contract::source::Server for Real {
    async fn insert(&mut self, rows: u32) {
        let sql = format!("INSERT INTO users (name) SELECT 'x' FROM generate_series(1, {rows})");
        self.client.batch_execute(&sql).await.unwrap();
    }

    async fn source(&mut self) -> Box<dyn ChangeSource> {
        Box::new(PgSource::new(self.server.spec("users")))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn source() {
    let server = support::Server::start(&[]);
    let client = server.client().await;
    let table = "CREATE TABLE users (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text); \
                 CREATE PUBLICATION pub_users FOR TABLE users";
    client.batch_execute(table).await.unwrap();
    contract::source::suite(&mut Real { server, client }).await;
}
