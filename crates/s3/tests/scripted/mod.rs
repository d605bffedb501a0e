//! A server that answers each request as the test wrote it down, and keeps what it was asked.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use datapipe_core::Secret;
use datapipe_s3::{Credentials, S3Config};

/// What to do with a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Answer with this status, these header lines and this body.
    Answer(u16, &'static str, String),
    /// Take the request and close the connection.
    HangUp,
    /// Promise more bytes than are sent.
    BreakOff(u64, &'static str),
}

/// An error answer in S3's form.
pub(crate) fn error(status: u16, code: &str) -> Reply {
    let xml = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>said so</Message></Error>");
    Reply::Answer(status, "content-type: application/xml\r\n", xml)
}

/// An empty answer of success.
pub(crate) fn ok() -> Reply {
    Reply::Answer(200, "etag: \"x\"\r\n", String::new())
}

/// The server.
pub(crate) struct Scripted {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    /// Starts a server that gives these replies in turn, and the last one for ever.
    pub(crate) fn start(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heads = Arc::clone(&asked);
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let Ok(connection) = connection else { return };
                let turn = heads.lock().unwrap().len();
                let reply = replies.get(turn).unwrap_or_else(|| replies.last().unwrap());
                serve(connection, reply, &heads);
            }
        });
        Self { address, asked }
    }

    /// The heads of the requests so far, in lower case.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// A configuration for this server with short pauses.
    pub(crate) fn config(&self) -> S3Config {
        let credentials = Credentials::new(Secret::new("user"), Secret::new("password"));
        let mut config = S3Config::at(format!("http://{}", self.address), "us-east-1", "lake", credentials);
        config.limits.attempts_max = 3;
        config.limits.pause_max = std::time::Duration::from_millis(5);
        config
    }
}

fn serve(mut connection: TcpStream, reply: &Reply, heads: &Mutex<Vec<String>>) {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        match connection.read(&mut byte) {
            Ok(1) => bytes.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8(bytes).unwrap().to_ascii_lowercase();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; length];
    connection.read_exact(&mut body).unwrap();
    heads.lock().unwrap().push(head);
    let answer = match reply {
        Reply::Answer(status, lines, body) => {
            format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n{lines}\r\n{body}", body.len())
        }
        Reply::HangUp => return,
        Reply::BreakOff(length, part) => format!(
            "HTTP/1.1 206 X\r\nconnection: close\r\ncontent-length: {length}\r\ncontent-range: bytes 0-9/10\r\n\r\n{part}"
        ),
    };
    // The client may have given up already.
    let _ = connection.write_all(answer.as_bytes());
}
