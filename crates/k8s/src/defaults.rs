//! What a deployment knows by itself.

use std::net::{IpAddr, Ipv4Addr};

use datapipe_core::plan::RunPlan;
use datapipe_core::secret::SecretRef;
use datapipe_core::settings::{Settings, TrialServer};

use crate::POSTGRES;

/// Where the Secret's keys are files.
pub(crate) const CREDENTIALS_FOLDER: &str = "/etc/datapipe/credentials";
/// Where a native worker spools.
pub(crate) const DATA_FOLDER: &str = "/var/lib/datapipe";
/// The trial's broker: Service and port.
pub(crate) const KAFKA: (&str, u16) = ("kafka", 9092);
/// The trial's S3 server: Service and port.
pub(crate) const S3: (&str, u16) = ("s3", 9000);

/// Fills in what a deployment knows: its own database server, the servers of a trial, and where secrets are mounted.
/// What is set stays as it is.
#[must_use]
pub fn in_cluster(mut settings: Settings) -> Settings {
    let postgres = &mut settings.postgres;
    if postgres.url.is_none() && postgres.host.is_none() {
        postgres.host = Some(POSTGRES.to_owned());
        postgres.database.get_or_insert_with(|| "shop".to_owned());
        postgres.user.get_or_insert_with(|| "cdc".to_owned());
    }
    if postgres.host.as_deref() == Some(POSTGRES) {
        postgres.password.get_or_insert_with(|| credential("postgres-password"));
    }
    if settings.deploy.with.contains(&TrialServer::Kafka) {
        settings.kafka.bootstrap.get_or_insert_with(|| format!("{}:{}", KAFKA.0, KAFKA.1));
    }
    let s3 = &mut settings.s3;
    if settings.deploy.with.contains(&TrialServer::S3) {
        s3.endpoint.get_or_insert_with(|| format!("http://{}:{}", S3.0, S3.1));
        s3.bucket.get_or_insert_with(|| "cdc".to_owned());
    }
    if s3.profile.is_none() {
        s3.access_key_id.get_or_insert_with(|| credential("s3-access-key-id"));
        s3.secret_access_key.get_or_insert_with(|| credential("s3-secret-access-key"));
    }
    settings
}

fn credential(file: &str) -> SecretRef {
    SecretRef::Dir { path: CREDENTIALS_FOLDER.to_owned(), file: file.to_owned() }
}

/// In a pod the Service's address is none of the process' own, and the root file system is read only.
pub(crate) fn for_pods(run: &mut RunPlan) {
    run.listen = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    run.data_dir = DATA_FOLDER.into();
}

/// The key in the Secret that a reference's value has: the variable's name, or the file's.
pub(crate) fn secret_key(reference: &SecretRef) -> &str {
    match reference {
        SecretRef::Env(name) => name,
        SecretRef::File { path, .. } => path.rsplit('/').next().unwrap_or_default(),
        SecretRef::Dir { file, .. } => file,
        SecretRef::Profile { key, .. } => key,
    }
}
