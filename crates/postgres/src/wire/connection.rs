//! A replication connection outside of a stream: simple queries, one at a time.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::login::login;
use super::message::{cut, data_row, server_error};
use super::transport::Stream;
use crate::config::PgConfig;
use crate::error::Error;

/// A row of a simple query, as text.
pub(crate) type Row = Vec<Option<String>>;

/// A logged-in connection with `replication=database`.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
    address: (String, u16),
    /// Process id and secret of the server's side, for cancelling what it does.
    pub(super) cancel_key: Option<(i32, i32)>,
}

impl Connection {
    /// Connects and logs in, within the configuration's time limit.
    pub(crate) async fn open(config: &PgConfig, application: &str) -> Result<Self, Error> {
        let open = async {
            let stream = TcpStream::connect((config.host.as_str(), config.port))
                .await
                .map_err(|source| Error::Connect { address: config.address(), source })?;
            stream.set_nodelay(true)?;
            let address = (config.host.clone(), config.port);
            let mut connection = Self { stream, buffer: BytesMut::new(), address, cancel_key: None };
            login(&mut connection, config, application).await?;
            Ok(connection)
        };
        timeout(config.connect_timeout, open).await.map_err(|_| Error::Timeout(config.connect_timeout))?
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        Ok(self.stream.write_all(bytes).await?)
    }

    pub(super) async fn receive(&mut self) -> Result<(u8, Bytes), Error> {
        loop {
            if let Some(message) = cut(&mut self.buffer)? {
                return Ok(message);
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(Error::Closed);
            }
        }
    }

    /// Runs one statement and returns its rows.
    pub(crate) async fn query(&mut self, sql: &str, limit: Duration) -> Result<Vec<Row>, Error> {
        let run = async {
            self.send_query(sql).await?;
            let mut rows = Vec::new();
            let mut failure = None;
            loop {
                let (tag, body) = self.receive().await?;
                match tag {
                    b'D' => rows.push(data_row(&body)?),
                    b'E' => failure = Some(server_error(&body)),
                    b'Z' => return failure.map_or(Ok(rows), |error| Err(error.into())),
                    _ => {}
                }
            }
        };
        timeout(limit, run).await.map_err(|_| Error::Timeout(limit))?
    }

    /// Asks the server to give up the current statement, as one does after a time limit: a server that waits for
    /// other transactions does not notice that its client is gone, and would finish what nobody wants any more.
    pub(crate) async fn cancel(&mut self, limit: Duration) -> Result<(), Error> {
        let Some((pid, key)) = self.cancel_key else { return Ok(()) };
        let cancel = async {
            let mut out = BytesMut::new();
            frontend::cancel_request(pid, key, &mut out);
            let mut other = TcpStream::connect((self.address.0.as_str(), self.address.1)).await?;
            other.write_all(&out).await?;
            while self.receive().await?.0 != b'Z' {}
            Ok(())
        };
        timeout(limit, cancel).await.map_err(|_| Error::Timeout(limit))?
    }

    /// Runs a statement that turns the connection into a copy-both stream. After a refusal by the server the
    /// connection can be used again: it comes back with the error.
    pub(crate) async fn stream(mut self, sql: &str, limit: Duration) -> Result<Stream, (Option<Self>, Error)> {
        match timeout(limit, self.start_copy(sql)).await {
            Ok(Ok(())) => Ok(Stream::spawn(self.stream, self.buffer)),
            Ok(Err(error @ Error::Server(_))) => Err((Some(self), error)),
            Ok(Err(error)) => Err((None, error)),
            Err(_) => Err((None, Error::Timeout(limit))),
        }
    }

    async fn start_copy(&mut self, sql: &str) -> Result<(), Error> {
        self.send_query(sql).await?;
        let mut failure = None;
        loop {
            let (tag, body) = self.receive().await?;
            match tag {
                // CopyBothResponse
                b'W' => return Ok(()),
                b'E' => failure = Some(server_error(&body)),
                b'Z' => {
                    return Err(failure.map_or_else(
                        || Error::Protocol("no stream although the statement succeeded".to_owned()),
                        Into::into,
                    ));
                }
                _ => {}
            }
        }
    }

    async fn send_query(&mut self, sql: &str) -> Result<(), Error> {
        let mut out = BytesMut::new();
        frontend::query(sql, &mut out)?;
        self.send(&out).await
    }
}
