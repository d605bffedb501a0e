//! The begins and ends of transactions, and the numbers of their events.

use datapipe_core::port::log::Record;

use crate::recorded::{Case, Fixture, Sent, Step, fixture, steps};

/// The connectors that tell of transactions, their table, and their records.
fn told(fixture: &Fixture) -> Vec<(&Case, &str, Vec<Sent>)> {
    let told = fixture.cases.iter().filter(|case| case.config.contains_key("provide.transaction.metadata"));
    let of = |case| {
        // The recorder's own messages make transactions without an event.
        let empty = empty(case);
        let is_ours = |sent: &Sent| !sent.key.as_deref().is_some_and(|key| empty.contains(key));
        let (_, table) = case.topics().first().unwrap().rsplit_once('.').unwrap();
        (case, table, case.records.iter().filter(|sent| is_ours(sent)).cloned().collect())
    };
    told.map(of).collect()
}

/// The keys of the records of transactions in which nothing happened.
fn empty(case: &Case) -> String {
    let ends =
        case.records.iter().filter(|sent| sent.value.as_deref().is_some_and(|v| v.contains("\"event_count\":0,")));
    let id = |key: &str| key.rsplit_once("\"id\":\"").and_then(|(_, id)| Some(id.split_once(':')?.0.to_owned()));
    let xids: Vec<_> = ends.filter_map(|sent| id(sent.key.as_deref()?)).collect();
    let keys = case.records.iter().filter_map(|sent| sent.key.clone());
    keys.filter(|key| id(key).is_some_and(|xid| xids.contains(&xid))).collect()
}

/// What becomes of the recorded messages, of which the first `known` changes of each transaction are in the log already.
fn transactions(fixture: &Fixture, case: &Case, table: &str, known: usize) -> Vec<Sent> {
    let mut encoder = case.encoder(table);
    let mut ours = Vec::new();
    let mut seen = 0;
    encoder.begin_transaction();
    for step in steps(fixture) {
        match step {
            Step::Change(change, transaction) if change.relation.name == table => {
                seen += 1;
                if seen <= known {
                    encoder.pass_over(&change);
                } else {
                    let mut emit = |record: Record<'_>| ours.push(Sent::of(&record));
                    encoder.encode(&change, &transaction, 0, &mut emit).unwrap();
                }
            }
            Step::Change(..) => {}
            Step::End(end, transaction) => {
                encoder.end_transaction(end, &transaction, &mut |record| ours.push(Sent::of(&record)));
                encoder.begin_transaction();
                seen = 0;
            }
        }
    }
    ours
}

#[test]
fn transactions_are_told_as_by_debezium() {
    let fixture = fixture();
    let mut compared = 0;
    for (case, table, recorded) in told(&fixture) {
        let ours = transactions(&fixture, case, table, 0);
        for topic in [format!("{}.public.{table}", case.prefix), format!("{}.transaction", case.prefix)] {
            let of_topic = |sent: &&Sent| sent.topic == topic;
            let theirs: Vec<_> = recorded.iter().filter(of_topic).skip(case.snapshot_rows(&topic)).collect();
            let ours: Vec<_> = ours.iter().filter(of_topic).collect();
            assert_eq!(ours.len(), theirs.len(), "{topic}");
            for (ours, theirs) in ours.into_iter().zip(theirs) {
                let mut theirs = theirs.clone().without_time();
                // `source.sequence` names the last commit, which here is any table's.
                let mut ours = ours.clone().without_time();
                for sent in [&mut ours, &mut theirs] {
                    sent.value = sent.value.as_deref().map(without_sequence);
                }
                assert_eq!(ours, theirs);
                compared += 1;
            }
        }
    }
    assert!(compared > 60, "{compared} records were compared");
}

fn without_sequence(value: &str) -> String {
    let Some((before, rest)) = value.split_once("\"sequence\":") else { return value.to_owned() };
    format!("{before}{}", rest.split_once(']').unwrap().1)
}

#[test]
fn a_replayed_transaction_is_numbered_on() {
    let fixture = fixture();
    let (case, table, _) = told(&fixture).remove(0);
    let whole = transactions(&fixture, case, table, 0);
    for known in 1..3 {
        let rest = transactions(&fixture, case, table, known);
        assert!(rest.len() < whole.len() && rest.len() > 10, "{} records", rest.len());
        for sent in &rest {
            assert!(whole.contains(sent), "{known} were known: {sent:?}");
        }
        // No transaction begins twice.
        assert!(!rest.iter().any(|sent| sent.value.as_deref().is_some_and(|value| value.contains("BEGIN"))));
    }
}
