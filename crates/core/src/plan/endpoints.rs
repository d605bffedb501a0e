//! The servers that every pipeline shares.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Problem;
use crate::connector::is_secret_key;
use crate::secret::{SecretRef, is_profile_name};
use crate::settings::{KafkaSettings, PostgresSettings, S3Settings};

/// Where rows come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PostgresPlan {
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The database.
    pub database: String,
    /// The role.
    pub user: String,
    /// Where the password is to be found; none if the server asks for none.
    pub password: Option<SecretRef>,
}

/// Where changes are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct KafkaPlan {
    /// The brokers to start from, `host:port`.
    pub bootstrap: Vec<String>,
    /// Replicas of every topic; -1 leaves it to the broker.
    pub replication_factor: i16,
    /// Further properties of the client; secrets are references.
    pub properties: BTreeMap<String, String>,
}

/// Where objects go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct S3Plan {
    /// The endpoint; none for AWS's own of the region.
    pub endpoint: Option<String>,
    /// The region.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// Whether the bucket stands in the path.
    pub path_style: bool,
    /// Where the access key's id is to be found.
    pub access_key_id: SecretRef,
    /// Where the access key's secret is to be found.
    pub secret_access_key: SecretRef,
    /// Where the token of temporary keys is to be found; none for lasting ones.
    pub session_token: Option<SecretRef>,
}

impl S3Plan {
    /// Host and port of the endpoint; none for AWS's own.
    pub fn address(&self) -> Option<(&str, u16)> {
        let endpoint = self.endpoint.as_deref()?.trim_end_matches('/');
        Some(match endpoint.strip_prefix("http://") {
            Some(place) => host_and_port(place, 80),
            None => host_and_port(endpoint.trim_start_matches("https://"), 443),
        })
    }
}

/// `host:port`, an IPv6 address in brackets.
pub fn host_and_port(server: &str, default: u16) -> (&str, u16) {
    let (host, port) = match server.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().unwrap_or(default)),
        _ => (server, default),
    };
    (host.trim_start_matches('[').trim_end_matches(']'), port)
}

/// Properties that decide whether rows are lost or doubled; they are not for settings.
const OWN_PROPERTIES: [&str; 10] = [
    "acks",
    "bootstrap.servers",
    "enable.auto.commit",
    "enable.idempotence",
    "group.id",
    "isolation.level",
    "metadata.broker.list",
    "partitioner",
    "request.required.acks",
    "transactional.id",
];

pub(super) fn postgres(settings: &PostgresSettings, problems: &mut Vec<Problem>) -> PostgresPlan {
    let mut merged = settings.clone();
    if let Some(url) = &settings.url {
        let parts = [
            ("host", settings.host.is_some()),
            ("port", settings.port.is_some()),
            ("database", settings.database.is_some()),
            ("user", settings.user.is_some()),
        ];
        for (part, _) in parts.iter().filter(|(_, given)| *given) {
            let what = "is set beside postgres.url, and both say where the database is";
            problems.push(Problem::new(format!("postgres.{part}"), what, "keep one of them"));
        }
        match parse_url(url) {
            Ok(parsed) => merged = PostgresSettings { password: settings.password.clone(), ..parsed },
            Err(problem) => {
                problems.push(problem);
                return PostgresPlan::default();
            }
        }
    }
    if settings.url.is_none() && merged.host.is_none() && merged.database.is_none() && merged.user.is_none() {
        problems.push(missing("postgres.url", "postgres://cdc@localhost:5432/shop"));
        return PostgresPlan::default();
    }
    let mut need = |part: &str, value: Option<String>, example| {
        value.filter(|value| !value.is_empty()).unwrap_or_else(|| {
            let what = if settings.url.is_some() { format!("has no {part}") } else { "is missing".to_owned() };
            let object = if settings.url.is_some() { "postgres.url".to_owned() } else { format!("postgres.{part}") };
            problems.push(Problem::new(object, what, format!("write it as in {example:?}")));
            String::new()
        })
    };
    let url = settings.url.is_some().then_some("postgres://cdc@localhost:5432/shop");
    let plan = PostgresPlan {
        host: need("host", merged.host, url.unwrap_or("localhost")),
        port: merged.port.unwrap_or(5432),
        database: need("database", merged.database, url.unwrap_or("shop")),
        user: need("user", merged.user, url.unwrap_or("cdc")),
        password: merged.password,
    };
    if let Some(SecretRef::Profile { .. }) = plan.password {
        let fix = "write \"${env:NAME}\", \"${file:/path:key}\" or \"${dir:/path:file}\"";
        problems.push(Problem::new("postgres.password", "is a key of an AWS profile, which only S3 takes", fix));
    }
    plan
}

/// `postgres://user@host:port/database`. The text is never shown: it may hold a password.
fn parse_url(url: &str) -> Result<PostgresSettings, Problem> {
    const OBJECT: &str = "postgres.url";
    const EXAMPLE: &str = "write it as \"postgres://cdc@localhost:5432/shop\"";
    let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
    let rest = rest.ok_or_else(|| Problem::new(OBJECT, "does not start with postgres://", EXAMPLE))?;
    // A password may hold any character, so what precedes the last @ is the user's part.
    let (user, place) = rest.rsplit_once('@').unwrap_or(("", rest));
    if user.contains(':') {
        return Err(Problem::new(
            OBJECT,
            "holds a password (not shown here)",
            "take it out of the URL, and set postgres.password = \"${env:PGPASSWORD}\"",
        )
        .because("the URL is printed with the plan and in logs"));
    }
    if let Some((_, parameters)) = place.split_once('?') {
        let names: Vec<&str> = parameters.split('&').filter_map(|pair| pair.split('=').next()).collect();
        let what = format!("has parameters that are not supported: {}", names.join(", "));
        return Err(Problem::new(OBJECT, what, EXAMPLE));
    }
    let (address, database) = place.split_once('/').unwrap_or((place, ""));
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (address, None),
    };
    let port = match port.map(str::parse::<u16>) {
        None => None,
        Some(Ok(port)) if port > 0 => Some(port),
        Some(_) => return Err(Problem::new(OBJECT, "its port is no number from 1 to 65535", EXAMPLE)),
    };
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Ok(PostgresSettings {
        url: None,
        host: some(host),
        port,
        database: some(database),
        user: some(user),
        password: None,
    })
}

pub(super) fn kafka(settings: &KafkaSettings, problems: &mut Vec<Problem>) -> KafkaPlan {
    let text = settings.bootstrap.as_deref().unwrap_or_default();
    let bootstrap: Vec<String> =
        text.split(',').map(|server| server.trim().to_owned()).filter(|s| !s.is_empty()).collect();
    if bootstrap.is_empty() {
        problems.push(missing("kafka.bootstrap", "localhost:9092"));
    }
    for server in &bootstrap {
        let port =
            server.rsplit_once(':').filter(|(host, _)| !host.is_empty()).and_then(|(_, port)| port.parse::<u16>().ok());
        if port.is_none_or(|port| port == 0) {
            let fix = "write host and port, as in \"localhost:9092\", several with commas";
            problems.push(Problem::new("kafka.bootstrap", format!("{server:?} is no host:port"), fix));
        }
    }
    let replication_factor = settings.replication_factor.unwrap_or(-1);
    if settings.replication_factor.is_some_and(|replicas| replicas < 1) {
        let what = format!("{replication_factor} is no number of replicas");
        problems.push(Problem::new(
            "kafka.replication_factor",
            what,
            "set 1 or more, or leave it out for the broker's default",
        ));
    }
    for (key, value) in &settings.properties {
        let object = format!("kafka.properties.{key}");
        if OWN_PROPERTIES.contains(&key.as_str()) {
            let what = "is set by datapipe itself, because exactly-once rests on it";
            let fix = if key.contains("brokers") || key.contains("broker.list") || key.contains("bootstrap") {
                "set kafka.bootstrap instead"
            } else {
                "leave it out"
            };
            problems.push(Problem::new(object, what, fix));
        } else if is_secret_key(key) && value.parse::<SecretRef>().is_err() {
            let fix = "write a reference: \"${env:NAME}\", \"${file:/path:key}\" or \"${dir:/path:file}\"";
            problems.push(Problem::new(object, "holds a secret in clear (not shown here)", fix));
        }
    }
    KafkaPlan { bootstrap, replication_factor, properties: settings.properties.clone() }
}

pub(super) fn s3(settings: &S3Settings, problems: &mut Vec<Problem>) -> S3Plan {
    let bucket = settings.bucket.clone().unwrap_or_default();
    if bucket.is_empty() {
        problems.push(missing("s3.bucket", "cdc"));
    } else if !is_bucket(&bucket) {
        let what = format!("{bucket:?} is no bucket name");
        let fix = "a bucket has 3 to 63 lower-case letters, digits, dots and dashes, and starts and ends with a letter or digit";
        problems.push(Problem::new("s3.bucket", what, fix));
    }
    if let Some(endpoint) = &settings.endpoint {
        check_endpoint(endpoint, problems);
    }
    let [access_key_id, secret_access_key, session_token] = keys(settings, problems);
    let env = |name: &str| SecretRef::Env(name.to_owned());
    S3Plan {
        endpoint: settings.endpoint.as_ref().map(|endpoint| endpoint.trim_end_matches('/').to_owned()),
        region: settings.region.clone().unwrap_or_else(|| "us-east-1".to_owned()),
        bucket,
        path_style: settings.path_style.unwrap_or(settings.endpoint.is_some()),
        access_key_id: access_key_id.unwrap_or_else(|| env("AWS_ACCESS_KEY_ID")),
        secret_access_key: secret_access_key.unwrap_or_else(|| env("AWS_SECRET_ACCESS_KEY")),
        session_token,
    }
}

/// Where id, secret and token of the access key are: each set by itself, or all by a profile. Whether a profile has a
/// token is seen when it is read.
fn keys(settings: &S3Settings, problems: &mut Vec<Problem>) -> [Option<SecretRef>; 3] {
    let given = [
        ("access_key_id", &settings.access_key_id),
        ("secret_access_key", &settings.secret_access_key),
        ("session_token", &settings.session_token),
    ];
    let Some(profile) = &settings.profile else { return given.map(|(_, reference)| reference.clone()) };
    if !is_profile_name(profile) {
        let what = format!("{profile:?} is no name of a profile");
        problems.push(Problem::new("s3.profile", what, "name a profile of ~/.aws/credentials, such as \"default\""));
    }
    for (part, _) in given.iter().filter(|(_, reference)| reference.is_some()) {
        let what = "is set beside s3.profile, and both say whose keys are used";
        problems.push(Problem::new(format!("s3.{part}"), what, "keep one of them"));
    }
    given.map(|(key, _)| Some(SecretRef::Profile { profile: profile.clone(), key: format!("aws_{key}") }))
}

fn check_endpoint(endpoint: &str, problems: &mut Vec<Problem>) {
    let fix = "write scheme, host and port, as in \"http://localhost:9000\"";
    let rest = endpoint.strip_prefix("http://").or_else(|| endpoint.strip_prefix("https://"));
    let what = match rest {
        Some(rest) if rest.contains('@') => {
            "holds credentials (not shown here); they belong in s3.access_key_id and s3.secret_access_key"
        }
        None => "does not start with http:// or https://",
        Some(rest) if rest.trim_end_matches('/').is_empty() => "has no host",
        Some(rest) if rest.trim_end_matches('/').contains(['/', '?']) => "has a path; the bucket belongs in s3.bucket",
        Some(_) => return,
    };
    problems.push(Problem::new("s3.endpoint", what, fix));
}

fn is_bucket(name: &str) -> bool {
    let alnum = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (3..=63).contains(&name.len())
        && name.chars().all(|c| alnum(c) || c == '.' || c == '-')
        && name.starts_with(alnum)
        && name.ends_with(alnum)
}

fn missing(object: &str, example: &str) -> Problem {
    let variable = object.to_ascii_uppercase().replace('.', "__");
    Problem::new(object, "is missing", format!("set it in datapipe.toml or as DATAPIPE_{variable}, as in {example:?}"))
}
