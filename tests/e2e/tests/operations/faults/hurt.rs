//! How it is hurt, and mended.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use datapipe_e2e::foreign::{Transaction, alter};
use datapipe_e2e::stage::{BUCKET, PATIENCE, eventually};
use datapipe_embedded::Shutdown;
use rustix::process::Signal;

use super::{Scene, TABLE};

impl Scene {
    pub(super) async fn publication(&mut self) {
        let publication = self.names.publication.clone();
        let alter = |what: &str| format!("ALTER PUBLICATION \"{publication}\" {what}");
        self.stage.sql(&alter("SET TABLE orders")).await;
        self.shows("publication of another table", &["DP0306"]).await;
        self.stage.sql(&alter("SET TABLE users, orders")).await;
        self.shows("publication of one table more", &["DP0306"]).await;
        self.stage.sql(&alter("SET TABLE users")).await;
        self.stage.sql(&alter("SET (publish = 'insert, update')")).await;
        self.shows("publication without deletes", &["DP0306"]).await;
        self.stage.sql(&alter("SET (publish = 'insert, update, delete, truncate')")).await;
        self.stage.sql(&format!("DROP PUBLICATION \"{publication}\"")).await;
        self.shows("publication dropped", &["DP0306"]).await;
        self.stage.sql(&format!("CREATE PUBLICATION \"{publication}\" FOR TABLE users")).await;
        self.stage.sql("CREATE PUBLICATION dbz_publication_carts").await;
        self.shows("publication left over", &["DP0312"]).await;
        self.stage.sql("DROP PUBLICATION dbz_publication_carts").await;
        self.well().await;
    }

    pub(super) async fn table(&mut self) {
        self.stage.sql("ALTER TABLE users DROP CONSTRAINT users_pkey").await;
        self.shows("table without a primary key", &["DP0307"]).await;
        self.stage.sql("ALTER TABLE users ADD PRIMARY KEY (id)").await;
        self.stage.sql("ALTER TABLE users REPLICA IDENTITY NOTHING").await;
        self.shows("replica identity NOTHING", &["DP0307"]).await;
        self.stage.sql("ALTER TABLE users REPLICA IDENTITY DEFAULT").await;
        self.well().await;
    }

    pub(super) async fn slots(&mut self) {
        self.stage.sql("SELECT pg_create_logical_replication_slot('debezium_slot_carts', 'pgoutput')").await;
        self.shows("slot left over", &["DP0310"]).await;
        self.stage.sql("SELECT pg_drop_replication_slot('debezium_slot_carts')").await;
        let free = "current_setting('max_replication_slots')::int - (SELECT count(*)::int FROM pg_replication_slots)";
        let fill =
            format!("SELECT pg_create_physical_replication_slot('other_' || n) FROM generate_series(1, {free}) AS n");
        self.stage.sql(&fill).await;
        self.shows("all slots taken", &["DP0308"]).await;
        let others =
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name LIKE 'other%'";
        self.stage.sql(others).await;
        self.well().await;
    }

    pub(super) async fn connectors(&mut self) {
        let (source, sink) = (self.names.source_connector.clone(), self.names.sink_connector.clone());
        self.rest.pause(&source).await.unwrap();
        self.shows("source paused", &["DP0202"]).await;
        self.rest.resume(&source).await.unwrap();
        self.well().await;
        self.rest.stop(&sink).await.unwrap();
        self.row().await;
        self.shows("sink stopped while rows come", &["DP0202"]).await;
        self.rest.resume(&sink).await.unwrap();
        self.well().await;

        let config = self.rest.config(&sink).await.unwrap().unwrap();
        self.rest.delete(&sink).await.unwrap();
        self.shows("connector deleted", &["DP0201"]).await;
        self.rest.put_config(&sink, &config).await.unwrap();
        let changed = BTreeMap::from([("file.max.records".to_owned(), Some("7".to_owned()))]);
        self.rest.patch_config(&sink, &changed).await.unwrap();
        self.shows("configuration changed by hand", &["DP0203"]).await;
        self.rest.put_config(&sink, &config).await.unwrap();
        let other = "s3-sink-carts-connector";
        let mut others = config.clone();
        others.insert("name".to_owned(), other.to_owned());
        self.rest.put_config(other, &others).await.unwrap();
        self.rest.stop(other).await.unwrap();
        self.shows("connector of somebody else", &["DP0206"]).await;
        self.rest.delete(other).await.unwrap();
        self.well().await;
    }

    pub(super) async fn topics(&mut self) {
        let bootstrap = self.stage.servers.stack.kafka().bootstrap();
        for (fault, topic, wrong, right) in [
            ("offsets topic that is not compacted", self.names.offsets_topic.clone(), "delete", "compact"),
            ("data topic that is compacted", self.names.data_topic.clone(), "compact", "delete"),
        ] {
            alter(&bootstrap, &topic, "cleanup.policy", wrong).await.unwrap();
            self.shows(fault, &["DP0402"]).await;
            alter(&bootstrap, &topic, "cleanup.policy", right).await.unwrap();
        }
        let open = self.foreign().await;
        self.shows("transaction of somebody else that hangs", &["DP0407"]).await;
        open.abort().await.unwrap();
        self.well().await;
    }

    async fn foreign(&self) -> Transaction {
        let bootstrap = self.stage.servers.stack.kafka().bootstrap();
        Transaction::open(&bootstrap, &self.names.data_topic).await.unwrap()
    }

    /// The table's objects, the oldest first.
    fn files(&self) -> Vec<PathBuf> {
        fn below(folder: PathBuf, found: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_dir() {
                    below(entry.path(), found);
                } else {
                    found.push(entry.path());
                }
            }
        }
        let mut found = Vec::new();
        below(self.stage.servers.stack.s3().bucket_path(BUCKET).join(format!("table={TABLE}")), &mut found);
        found.retain(|path| path.to_string_lossy().ends_with(".jsonl.gz"));
        found.sort_by_key(|path| path.file_name().map(ToOwned::to_owned));
        found
    }

    pub(super) async fn objects(&mut self) {
        self.row().await;
        eventually("a second object", PATIENCE, async || self.files().len() >= 2).await;
        let files = self.files();
        let (first, content) = (&files[0], fs::read(&files[0]).unwrap());
        fs::remove_file(first).unwrap();
        self.shows_in_data("object deleted", &["DP0601"]).await;
        let mut altered = content.clone();
        let middle = altered.len() / 2;
        altered[middle] ^= 1;
        fs::write(first, altered).unwrap();
        self.shows_in_data("object altered", &["DP0601"]).await;
        fs::write(first, &content).unwrap();
        let name = first.file_name().unwrap().to_str().unwrap();
        let (head, _) = name.rsplit_once('-').unwrap();
        let again = first.with_file_name(format!("{head}-{:020}.jsonl.gz", 1));
        fs::write(&again, &content).unwrap();
        self.shows_in_data("object there twice", &["DP0601"]).await;
        fs::remove_file(&again).unwrap();
        let foreign = first.with_file_name("notes.txt");
        fs::write(&foreign, "mine").unwrap();
        self.shows_in_data("file of somebody else among the objects", &["DP0601"]).await;
        fs::remove_file(&foreign).unwrap();
        let (code, findings) = self.verify(&["--data"], &[]).await;
        assert_eq!(code, 0, "{findings:#?}");
    }

    /// Changes that the publication does not publish.
    async fn behind(&self, sql: &str) {
        let publication = &self.names.publication;
        self.stage.sql(&format!("ALTER PUBLICATION \"{publication}\" DROP TABLE users")).await;
        self.stage.sql(sql).await;
        self.stage.sql(&format!("ALTER PUBLICATION \"{publication}\" ADD TABLE users")).await;
    }

    pub(super) async fn rows(&mut self) {
        for (fault, hurt, mend) in [
            (
                "row removed behind the pipeline's back",
                "CREATE TABLE kept AS SELECT * FROM users WHERE id = 7; DELETE FROM users WHERE id = 7",
                "INSERT INTO users SELECT * FROM kept; DROP TABLE kept",
            ),
            (
                "row changed behind its back",
                "UPDATE users SET amount = amount + 1 WHERE id = 8",
                "UPDATE users SET amount = amount - 1 WHERE id = 8",
            ),
            (
                "row that never came",
                "INSERT INTO users (id, name) VALUES (-1, 'never')",
                "DELETE FROM users WHERE id = -1",
            ),
        ] {
            self.behind(hurt).await;
            self.shows_in_data(fault, &["DP0601"]).await;
            self.behind(mend).await;
        }
        let (code, findings) = self.verify(&["--data"], &[]).await;
        assert_eq!(code, 0, "{findings:#?}");
    }

    pub(super) async fn credentials(&mut self) {
        self.shows_with("wrong password of PostgreSQL", &[], &[("PGPASSWORD", "wrong")], &["DP0301"]).await;
        self.shows_with("wrong key of the store", &[], &[("AWS_SECRET_ACCESS_KEY", "wrong")], &["DP0501"]).await;
        // A role of its own: the pipeline's is a superuser here.
        self.stage.sql("CREATE ROLE looker LOGIN PASSWORD 'looks'").await;
        let looker = ["--set", "postgres.user=looker", "--only", "postgres"];
        let password = [("PGPASSWORD", "looks")];
        self.shows_with("role without rights", &looker, &password, &["DP0309"]).await;
        self.stage.sql("ALTER ROLE looker VALID UNTIL '2020-01-01'").await;
        self.shows_with("password that has expired", &looker, &password, &["DP0301"]).await;
        self.stage.sql("DROP ROLE looker").await;
        let (bucket, away) = (self.stage.servers.stack.s3().bucket_path(BUCKET), self.stage.root.path().join("away"));
        fs::rename(&bucket, &away).unwrap();
        self.shows("bucket missing", &["DP0501"]).await;
        fs::rename(&away, &bucket).unwrap();
        self.well().await;
    }

    pub(super) async fn worker(&mut self) {
        self.worker.as_ref().unwrap().signal(Signal::STOP).unwrap();
        self.shows("worker hung", &["DP0101"]).await;
        self.worker.as_ref().unwrap().signal(Signal::CONT).unwrap();
        self.well().await;
        self.worker.take().unwrap().kill().unwrap();
        self.row().await;
        self.shows("worker killed", &["DP0101"]).await;
        self.start().await;
        self.well().await;
    }

    pub(super) async fn servers(&mut self) {
        self.stage.servers.stack.s3_mut().stop().await;
        self.row().await;
        self.shows("store down", &["DP0501"]).await;
        self.stage.servers.stack.s3_mut().resume().await.unwrap();
        self.well().await;
        self.stage.servers.stack.postgres_mut().stop(Shutdown::Immediate).await.unwrap();
        self.shows("PostgreSQL down", &["DP0301"]).await;
        self.stage.servers.stack.postgres_mut().resume().await.unwrap();
        self.stage.reconnect().await;
        self.well().await;
        self.stage.servers.stack.kafka_mut().kill().await.unwrap();
        self.shows("Kafka down", &["DP0401"]).await;
        self.stage.servers.stack.kafka_mut().resume().await.unwrap();
        self.well().await;
    }

    pub(super) async fn dead_letters(&mut self) {
        self.foreign().await.commit().await.unwrap();
        // Nothing comes after it, and the rows can be compared all the same.
        self.shows_in_data("record that is no JSON", &["DP0404"]).await;
        self.row().await;
        self.shows_in_data("dead letter between others", &["DP0404"]).await;
    }

    /// What cannot be mended comes last; the dead letter stays.
    pub(super) async fn gaps(&mut self) {
        let slot = self.names.slot.clone();
        self.stop().await;
        for setting in ["max_slot_wal_keep_size = '1MB'", "wal_keep_size = 0"] {
            self.stage.sql(&format!("ALTER SYSTEM SET {setting}")).await;
        }
        self.stage.sql("SELECT pg_reload_conf()").await;
        let status = format!("SELECT wal_status FROM pg_replication_slots WHERE slot_name = '{slot}'");
        eventually("the slot's log removed", PATIENCE, async || {
            self.stage.sql("SELECT pg_logical_emit_message(false, 'test', 'x'), pg_switch_wal()").await;
            self.stage.sql("CHECKPOINT").await;
            self.stage.ask(&status).await.as_deref() == Some("lost")
        })
        .await;
        self.shows("log that the slot needs removed", &["DP0101", "DP0305", "DP0404"]).await;
        self.stage.sql(&format!("SELECT pg_drop_replication_slot('{slot}')")).await;
        self.worker = Some(self.stage.worker("worker", &[TABLE], &[]));
        self.shows("slot dropped", &["DP0303", "DP0404"]).await;
        self.row().await;
        self.stage.sql(&format!("SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')")).await;
        self.shows("slot made anew by hand", &["DP0404", "DP0405"]).await;
    }
}
