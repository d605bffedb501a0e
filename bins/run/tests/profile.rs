//! S3 keys by AWS profile, through the real program and an S3 server. There is no PostgreSQL and no Kafka: a start
//! tells all problems at once, and so whether S3 is among them.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::process::Command;

use datapipe_embedded::{Progress, S3Server};

/// What `start` says; it never gets further than looking.
fn start(folder: &Path, settings: &[String], environment: &[(&str, &str)]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_datapipe-run"));
    command.arg("start").current_dir(folder).env_clear().env("HOME", folder).envs(environment.iter().copied());
    for setting in settings {
        command.args(["--set", setting]);
    }
    let output = command.output().unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(69), "{words}");
    words
}

/// A profile, further variables, and what is said; none if the bucket opens.
type Case = (&'static str, &'static [(&'static str, &'static str)], Option<&'static str>);

const ELSEWHERE: &[(&str, &str)] = &[("AWS_SHARED_CREDENTIALS_FILE", "~/elsewhere")];
const CASES: [Case; 7] = [
    ("lake", &[], None),
    ("temporary", &[], None),
    ("moved", ELSEWHERE, None),
    ("default", &[], Some("fix: check the access key and its secret")),
    ("moved", &[], Some("there is no profile moved in")),
    ("lake", ELSEWHERE, Some("known are moved, sso, temporary")),
    ("sso", &[], Some("profile sso gets its keys by single sign-on (sso_session)")),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_keys_of_a_profile_open_the_bucket() {
    let folder = tempfile::tempdir().unwrap();
    let server = S3Server::start(&folder.path().join("s3"), &Progress::silent()).await.unwrap();
    let keys = |id: &str, secret: &str| format!("aws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
    let (id, secret) = (server.access_key(), server.secret_key());
    std::fs::create_dir(folder.path().join(".aws")).unwrap();
    let credentials = format!("[default]\n{}[lake]\n{}", keys("nobody", "hunter2"), keys(id, secret));
    std::fs::write(folder.path().join(".aws/credentials"), credentials).unwrap();
    let config = "[profile sso]\nsso_session = corp\n[profile temporary]\naws_session_token = token\n".to_owned();
    std::fs::write(folder.path().join(".aws/config"), config + &keys(id, secret)).unwrap();
    std::fs::write(folder.path().join("elsewhere"), format!("[moved]\n{}", keys(id, secret))).unwrap();

    // Side by side: each waits for Kafka.
    let mut starts = Vec::new();
    for (number, (profile, environment, _)) in CASES.into_iter().enumerate() {
        let bucket = format!("lake{number}");
        server.create_bucket(&bucket).await.unwrap();
        let settings = [
            "postgres.url=postgres://cdc@127.0.0.1:1/shop".to_owned(),
            "kafka.bootstrap=127.0.0.1:1".to_owned(),
            format!("s3.bucket={bucket}"),
            format!("s3.endpoint={}", server.endpoint()),
            format!("s3.profile={profile}"),
        ];
        let folder = folder.path().to_owned();
        starts.push(tokio::task::spawn_blocking(move || start(&folder, &settings, environment)));
    }
    for ((number, (profile, _, refused)), start) in CASES.into_iter().enumerate().zip(starts) {
        let words = start.await.unwrap();
        println!("{profile}:\n{words}");
        assert!(!words.contains("hunter2") && !words.contains(secret), "{profile}: a secret was printed\n{words}");
        let probed = server.bucket_path(&format!("lake{number}")).join("_datapipe/.datapipe-probe").exists();
        assert_eq!(probed, refused.is_none(), "{profile}:\n{words}");
        match refused {
            None => assert!(!words.contains("s3"), "{profile}:\n{words}"),
            Some(expected) => assert_eq!(words.matches(expected).count(), 1, "{profile}:\n{words}"),
        }
    }
}
