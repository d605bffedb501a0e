//! Ten rounds of the fault runner.

use std::time::Duration;

use datapipe_e2e::kills::{Plan, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_rounds_lose_and_double_nothing() {
    let plan = Plan { first: 0, rounds: 10, seed: 7, time_max: Duration::from_secs(1200) };
    let mut rounds = 0;
    run(&plan, |round| {
        println!("{}", serde_json::to_string(round)?);
        assert!(round.ok, "round {}: {:?}", round.round, round.faults);
        rounds += 1;
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(rounds, 10);
}
