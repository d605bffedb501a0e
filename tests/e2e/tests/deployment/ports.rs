//! The tables' ports on this machine, by the mapping that the rendered cluster configuration asks for.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// Where the node answers.
const NODE: &str = "10.77.0.2";

/// Each stays mapped as long as this process runs.
static MAPPED: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// Does what kind does with `extraPortMappings`: a connection to a port of this machine goes to the node's.
pub(crate) fn map(tree: &Path) -> Vec<u16> {
    let text = fs::read_to_string(tree.join("kind-config-multi-instance.yaml")).unwrap();
    let number = |line: &str, key: &str| -> Option<u16> { line.split_once(key)?.1.trim().parse().ok() };
    let inner: Vec<u16> = text.lines().filter_map(|line| number(line, "containerPort:")).collect();
    let outer: Vec<u16> = text.lines().filter_map(|line| number(line, "hostPort:")).collect();
    assert_eq!(inner.len(), outer.len(), "{text}");
    for (&inner, &outer) in inner.iter().zip(&outer) {
        if !MAPPED.lock().unwrap().insert(outer) {
            continue;
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, outer))
            .unwrap_or_else(|error| panic!("port {outer} of this machine is a table's, and taken: {error}"));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                thread::spawn(move || forward(client, inner));
            }
        });
    }
    outer
}

fn forward(client: TcpStream, port: u16) -> io::Result<()> {
    let server = TcpStream::connect((NODE, port))?;
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || io::copy(&mut from, &mut to).and_then(|_| to.shutdown(Shutdown::Write)));
    let (mut from, mut to) = (server, client);
    io::copy(&mut from, &mut to)?;
    to.shutdown(Shutdown::Write)
}

/// `GET` from `localhost`.
pub(crate) fn get(port: u16, path: &str) -> Value {
    ask((Ipv4Addr::LOCALHOST, port), "GET", path, "")
}

/// Asks a worker by its table's port on the node, with JSON.
pub(crate) fn send(port: u16, method: &str, path: &str, body: &Value) -> Value {
    ask((NODE.parse().unwrap(), port + 22_000), method, path, &body.to_string())
}

fn ask((host, port): (Ipv4Addr, u16), method: &str, path: &str, body: &str) -> Value {
    let mut stream = TcpStream::connect((host, port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: localhost:{port}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{path}: {answer}"));
    assert!(head.lines().next().unwrap().contains(" 20"), "{method} {path}: {answer}");
    serde_json::from_str(body).unwrap()
}
