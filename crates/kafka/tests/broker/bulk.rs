//! Large transactions, read back; prints rates, which are no test.

use std::time::{Duration, Instant};

use datapipe_core::port::log::{LogReader, RecordBatch, TransactionalLog};

use crate::{Bench, KEY, put};

#[tokio::test(flavor = "multi_thread")]
async fn large_transactions_arrive_whole_and_in_order() {
    const RECORDS: u64 = 200_000;
    let bench = Bench::new("bulk").await;
    let mut producer = bench.producer();
    producer.claim().await.unwrap();
    let mut value = vec![b'x'; 500];
    let begun = Instant::now();
    for number in 0..RECORDS {
        value[..8].copy_from_slice(&number.to_be_bytes());
        put(&mut producer, &bench.data, &number.to_be_bytes(), &value).await;
        if (number + 1).is_multiple_of(50_000) {
            put(&mut producer, &bench.offsets, KEY, &number.to_be_bytes()).await;
            producer.commit().await.unwrap();
        }
    }
    println!("written: {} records/s", RECORDS * 1000 / u64::try_from(begun.elapsed().as_millis()).unwrap());
    let mut reader = bench.reader();
    reader.seek(0, 0).await.unwrap();
    let mut batch = RecordBatch::default();
    let mut next = 0_u64;
    let begun = Instant::now();
    while next < RECORDS {
        batch.clear();
        reader.poll(Duration::from_secs(10), &mut batch).await.unwrap();
        for record in batch.iter() {
            assert_eq!(record.value.unwrap()[..8], next.to_be_bytes());
            next += 1;
        }
    }
    println!("read: {} records/s", RECORDS * 1000 / u64::try_from(begun.elapsed().as_millis()).unwrap());
}
