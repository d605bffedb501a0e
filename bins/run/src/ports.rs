//! Whether the REST ports can be listened on: asked before anything is started.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How long whoever holds a port may take to say who it is.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// A worker's answer is shorter.
const ANSWER_BYTES_MAX: u64 = 4096;

/// Who holds a port.
#[derive(Debug)]
pub(crate) enum Holder {
    /// Nobody.
    Nobody,
    /// A worker, native or Kafka Connect's, on the Kafka cluster of this id (empty while it starts).
    Worker(String),
    /// A program that is no worker.
    Stranger,
    /// A program that does not answer: a paused worker, perhaps.
    Silent,
    /// The address is none to listen on.
    Impossible(std::io::Error),
}

/// Looks at a port of this machine.
pub(crate) async fn holder(address: SocketAddr) -> Holder {
    match TcpListener::bind(address).await {
        Ok(_) => Holder::Nobody,
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            match tokio::time::timeout(ANSWER_MAX, ask(address)).await {
                Ok(Ok(answer)) => who(&answer),
                Ok(Err(_)) | Err(_) => Holder::Silent,
            }
        }
        Err(error) => Holder::Impossible(error),
    }
}

/// `GET /`, which every worker answers with its cluster.
async fn ask(mut address: SocketAddr) -> std::io::Result<Vec<u8>> {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { [127, 0, 0, 1].into() } else { [0, 0, 0, 0, 0, 0, 0, 1u16].into() });
    }
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    Ok(answer)
}

fn who(answer: &[u8]) -> Holder {
    #[derive(Deserialize)]
    struct Root {
        kafka_cluster_id: String,
    }
    let text = String::from_utf8_lossy(answer);
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let root = body.find('{').and_then(|start| serde_json::from_str::<Root>(body.get(start..=body.rfind('}')?)?).ok());
    root.map_or(Holder::Stranger, |root| Holder::Worker(root.kafka_cluster_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn held_by(answer: &'static str) -> Holder {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 512];
            let _ = stream.read(&mut request).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        holder(address).await
    }

    #[tokio::test]
    async fn a_worker_is_told_from_a_stranger() {
        let worker = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"version\":\"4.3.1\",\"commit\":\"x\",\"kafka_cluster_id\":\"abc\"}";
        assert!(matches!(held_by(worker).await, Holder::Worker(cluster) if cluster == "abc"));
        for other in [
            "HTTP/1.1 200 OK\r\n\r\n<html>",
            "HTTP/1.1 200 OK\r\n\r\n{\"a\":1}",
            "HTTP/1.1 200 OK\r\n\r\n}{",
            "220 mail",
        ] {
            assert!(matches!(held_by(other).await, Holder::Stranger), "{other}");
        }
    }

    #[tokio::test]
    async fn a_free_a_silent_and_an_impossible_address() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        assert!(matches!(holder(address).await, Holder::Silent));
        drop(listener);
        assert!(matches!(holder(address).await, Holder::Nobody));
        // An address for documentation, which no machine has.
        assert!(matches!(holder("192.0.2.1:8083".parse().unwrap()).await, Holder::Impossible(_)));
    }
}
