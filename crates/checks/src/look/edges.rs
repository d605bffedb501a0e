use std::io::ErrorKind;
use std::time::{Duration, Instant};

use datapipe_core::plan::{PipelinePlan, Plan, S3Plan, host_and_port};
use datapipe_core::settings::Role;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{sleep, timeout};

use super::Servers;
use crate::edges::{EdgeSeen, EdgeTo, EdgesSeen, Way};

/// One name, and one connection, may take so long: whoever answers answers sooner.
const TRY_MAX: Duration = Duration::from_secs(3);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(300);
/// What a broker's address without a port means.
const KAFKA_PORT: u16 = 9092;

impl Servers {
    /// Tries each way that a table needs from here, again and again while `patience` lasts: `inside` says that this is where
    /// the table's worker is.
    pub async fn edges(&self, plan: &Plan, pipeline: &PipelinePlan, patience: Duration, inside: bool) -> EdgesSeen {
        let limit = self.limit.min(TRY_MAX);
        let mut edges = all(needed(plan, pipeline), limit, patience).await;
        let started = edges.iter().any(|edge| edge.to == EdgeTo::Kafka && edge.way == Way::Open);
        // Whom a client talks to is what the brokers say of themselves, and not what it was given to begin with.
        let brokers = match (&self.kafka, started) {
            (Ok(config), true) => {
                timeout(self.limit, datapipe_kafka::identity::brokers(config, &pipeline.names.offsets_topic)).await
            }
            _ => Ok(Ok(Vec::new())),
        };
        // A cluster that does not tell them is a finding of its own.
        let brokers = brokers.ok().and_then(Result::ok).unwrap_or_default();
        let known = |(host, port): &(String, u16)| edges.iter().any(|edge| edge.host == *host && edge.port == *port);
        let further: Vec<_> = brokers.into_iter().filter(|broker| !known(broker)).collect();
        let further = further.into_iter().map(|(host, port)| (EdgeTo::Kafka, host, port)).collect();
        edges.extend(all(further, limit, patience).await);
        EdgesSeen { inside, edges }
    }
}

/// Where a table's worker must get to.
fn needed(plan: &Plan, pipeline: &PipelinePlan) -> Vec<(EdgeTo, String, u16)> {
    let mut needed = Vec::new();
    // A socket's folder is no host.
    if pipeline.connector(Role::Source).is_some() && !plan.postgres.host.starts_with('/') {
        needed.push((EdgeTo::Postgres, plan.postgres.host.clone(), plan.postgres.port));
    }
    for server in &plan.kafka.bootstrap {
        let place = server.split_once("://").map_or(server.as_str(), |(_, place)| place);
        let (host, port) = host_and_port(place, KAFKA_PORT);
        needed.push((EdgeTo::Kafka, host.to_owned(), port));
    }
    if pipeline.connector(Role::Sink).is_some() {
        let (host, port) = store(&plan.s3);
        needed.push((EdgeTo::S3, host, port));
    }
    needed
}

fn store(plan: &S3Plan) -> (String, u16) {
    let aws = format!("s3.{}.amazonaws.com", plan.region);
    let (host, port) = plan.address().unwrap_or((&aws, 443));
    let host = if plan.path_style { host.to_owned() } else { format!("{}.{host}", plan.bucket) };
    (host, port)
}

/// Side by side, each until it is open or the patience is over.
async fn all(ways: Vec<(EdgeTo, String, u16)>, limit: Duration, patience: Duration) -> Vec<EdgeSeen> {
    let begun = Instant::now();
    let mut tasks = Vec::new();
    for (to, host, port) in ways {
        tasks.push(tokio::spawn(async move {
            loop {
                let edge = tried(to, &host, port, limit).await;
                if edge.way == Way::Open || begun.elapsed() >= patience {
                    return edge;
                }
                sleep(PAUSE).await;
            }
        }));
    }
    let mut edges = Vec::with_capacity(tasks.len());
    for task in tasks {
        edges.extend(task.await.ok());
    }
    edges
}

/// Tries one way, once.
pub(super) async fn tried(to: EdgeTo, host: &str, port: u16, limit: Duration) -> EdgeSeen {
    EdgeSeen { to, host: host.to_owned(), port, way: way(host, port, limit).await }
}

async fn way(host: &str, port: u16, limit: Duration) -> Way {
    let addresses = match timeout(limit, lookup_host((host, port))).await {
        Ok(Ok(addresses)) => addresses,
        Ok(Err(error)) => return unresolved(&error.to_string()),
        Err(_) => return Way::NoDns(format!("no answer within {} s", limit.as_secs_f32())),
    };
    let mut way = Way::NoName("it has no address".to_owned());
    for address in addresses {
        way = match timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(_)) => return Way::Open,
            Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => Way::Refused,
            Ok(Err(error)) => Way::Unreachable(error.to_string()),
            Err(_) => Way::TimedOut(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)),
        };
    }
    way
}

/// The system's resolver tells by its words alone whether DNS has answered.
fn unresolved(words: &str) -> Way {
    let words = words.rsplit_once(": ").map_or(words, |(_, why)| why).to_owned();
    // As glibc and musl say it.
    let silent = ["Temporary failure", "Try again", "Non-recoverable", "System error"];
    if silent.iter().any(|part| words.contains(part)) { Way::NoDns(words) } else { Way::NoName(words) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_way_is_open_or_says_how_it_is_not() {
        let limit = Duration::from_secs(2);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(way("127.0.0.1", port, limit).await, Way::Open);
        drop(listener);
        assert_eq!(way("127.0.0.1", port, limit).await, Way::Refused);
        let away = way("nowhere.invalid", port, limit).await;
        assert!(matches!(away, Way::NoName(_) | Way::NoDns(_)), "{away:?}");
    }

    #[tokio::test]
    async fn a_way_that_opens_later_is_waited_for() {
        let port = {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            listener.local_addr().unwrap().port()
        };
        let opens = async {
            sleep(Duration::from_millis(700)).await;
            tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap()
        };
        let ways = vec![(EdgeTo::Kafka, "127.0.0.1".to_owned(), port)];
        let (edges, _listener) = tokio::join!(all(ways, Duration::from_secs(1), Duration::from_secs(10)), opens);
        assert_eq!(edges[0].way, Way::Open);
    }

    #[test]
    fn whether_dns_has_answered() {
        let head = "failed to lookup address information: ";
        for words in ["Temporary failure in name resolution", "Try again"] {
            assert_eq!(unresolved(&format!("{head}{words}")), Way::NoDns(words.to_owned()));
        }
        for words in ["Name or service not known", "Name does not resolve", "No address associated with hostname"] {
            assert_eq!(unresolved(&format!("{head}{words}")), Way::NoName(words.to_owned()));
        }
    }
}
