//! Reading the internal topics for as long as the worker lives, owner or not.

use std::time::Duration;

use datapipe_core::port::PortError;
use datapipe_core::port::connect::{ConfigRecord, FeedItem, State};
use tokio_util::sync::CancellationToken;

use crate::Backoff;
use crate::view::Reading;
use crate::worker::{Shown, lock};

/// Follows the internal topics until told to stop; a reading that broke off is begun anew.
pub(crate) async fn follow(shown: &Shown, stop: &CancellationToken) {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
    while !stop.is_cancelled() {
        let read = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            read = read(shown, &mut backoff) => read,
        };
        if let Err(error) = read {
            let why = error.report();
            tracing::warn!(table = %shown.settings.slug, "reading the internal topics broke off: {why}");
            shown.view.send_modify(|view| view.reading = Reading::Broken(why));
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = tokio::time::sleep(backoff.after_failure()) => {}
        }
    }
}

/// One reading, from the beginning. What was known stays in sight until it has caught up.
async fn read(shown: &Shown, backoff: &mut Backoff) -> Result<(), PortError> {
    let store = shown.adapters.connect_store().await?;
    let mut feed = store.feed().await?;
    let mut view = shown.view.borrow().anew();
    while view.reading != Reading::Current {
        view.apply(feed.next().await?);
    }
    shown.view.send_replace(view);
    backoff.reset();
    loop {
        let item = feed.next().await?;
        act(shown, &item);
        shown.view.send_modify(|view| view.apply(item));
    }
}

/// Does what a record asks for once.
fn act(shown: &Shown, item: &FeedItem) {
    match item {
        FeedItem::Config { record: ConfigRecord::Restart(request), .. } if request.include_tasks => {
            let (going, now_us) = (lock(&shown.tasks).clone(), shown.clock.now_us());
            let tasks = going.values().filter(|task| task.connector == request.connector);
            let again = tasks.filter(|task| !request.only_failed || task.state(now_us).0 == State::Failed);
            let again: Vec<u32> = again.map(|task| task.number).collect();
            shown.view.send_modify(|view| {
                for task in again {
                    view.restart(&request.connector, task);
                }
            });
        }
        FeedItem::Config { record: ConfigRecord::LoggerLevel { logger, level }, .. } => {
            shown.adapters.set_logger_level(logger, level);
        }
        _ => {}
    }
}
