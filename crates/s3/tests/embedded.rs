//! The contract on the embedded S3 server.

#![allow(clippy::unwrap_used, clippy::panic)]

mod contract;

use datapipe_core::Secret;
use datapipe_embedded::{Progress, S3Server};
use datapipe_s3::{Credentials, S3Config, S3Store};

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_server_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let server = S3Server::start(folder.path(), &Progress::silent()).await.unwrap();
    server.create_bucket("contract").await.unwrap();
    let credentials = Credentials::new(Secret::new(server.access_key()), Secret::new(server.secret_key()));
    let config = S3Config::at(server.endpoint(), server.region(), "contract", credentials);
    contract::keeps_the_contract(&config).await;
    datapipe_testkit::contract::store::suite(&S3Store::new(config), "shared/").await;
}
