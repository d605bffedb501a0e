//! Startup and authentication.

use bytes::BytesMut;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::frontend;

use super::connection::Connection;
use super::message::{cut_text, server_error};
use crate::config::{PgConfig, SESSION};
use crate::error::Error;

/// `AuthenticationRequest` codes of PostgreSQL's chapter "Message Formats".
mod request {
    pub(super) const OK: u32 = 0;
    pub(super) const CLEARTEXT: u32 = 3;
    pub(super) const MD5: u32 = 5;
    pub(super) const SASL: u32 = 10;
    pub(super) const SASL_CONTINUE: u32 = 11;
    pub(super) const SASL_FINAL: u32 = 12;
}

/// Logs in for logical replication; afterwards the server is ready for a query.
pub(super) async fn login(connection: &mut Connection, config: &PgConfig, application: &str) -> Result<(), Error> {
    // Without a unit the server takes milliseconds.
    let sender_timeout = config.sender_timeout.as_millis().to_string();
    let fixed = [
        ("user", config.user.as_str()),
        ("database", &config.database),
        ("replication", "database"),
        ("application_name", application),
        ("client_encoding", "UTF8"),
        ("wal_sender_timeout", &sender_timeout),
    ];
    let mut out = BytesMut::new();
    frontend::startup_message(fixed.into_iter().chain(SESSION.iter().copied()), &mut out)?;
    connection.send(&out).await?;
    let mut scram = None;
    loop {
        let (tag, body) = connection.receive().await?;
        match tag {
            b'R' => {
                let (code, data) = body.split_first_chunk().ok_or_else(|| unexpected("an empty login request"))?;
                answer(connection, config, u32::from_be_bytes(*code), data, &mut scram).await?;
            }
            b'E' => return Err(server_error(&body).into()),
            b'Z' => return Ok(()),
            b'K' => connection.cancel_key = cancel_key(&body),
            // ParameterStatus, NoticeResponse, NegotiateProtocolVersion
            b'S' | b'N' | b'v' => {}
            _ => return Err(unexpected(&format!("message {:?} at login", char::from(tag)))),
        }
    }
}

async fn answer(
    connection: &mut Connection,
    config: &PgConfig,
    code: u32,
    data: &[u8],
    scram: &mut Option<ScramSha256>,
) -> Result<(), Error> {
    let mut out = BytesMut::new();
    match code {
        request::OK => return Ok(()),
        request::CLEARTEXT => frontend::password_message(password(config)?, &mut out)?,
        request::MD5 => {
            let salt = data.try_into().map_err(|_| unexpected("a salt that is not four bytes long"))?;
            let hash = md5_hash(config.user.as_bytes(), password(config)?, salt);
            frontend::password_message(hash.as_bytes(), &mut out)?;
        }
        request::SASL => {
            if !mechanisms(data).any(|name| name == SCRAM_SHA_256.as_bytes()) {
                return Err(unsupported("SASL without SCRAM-SHA-256"));
            }
            let exchange = scram.insert(ScramSha256::new(password(config)?, ChannelBinding::unsupported()));
            frontend::sasl_initial_response(SCRAM_SHA_256, exchange.message(), &mut out)?;
        }
        request::SASL_CONTINUE => {
            let exchange = scram.as_mut().ok_or_else(|| unexpected("a SASL answer that nobody asked for"))?;
            exchange.update(data)?;
            frontend::sasl_response(exchange.message(), &mut out)?;
        }
        request::SASL_FINAL => {
            let exchange = scram.as_mut().ok_or_else(|| unexpected("a SASL answer that nobody asked for"))?;
            return exchange.finish(data).map_err(|_| unexpected("a SASL signature that is not the server's"));
        }
        other => return Err(unsupported(&format!("authentication request {other}"))),
    }
    connection.send(&out).await
}

fn cancel_key(body: &[u8]) -> Option<(i32, i32)> {
    let (pid, rest) = body.split_first_chunk()?;
    Some((i32::from_be_bytes(*pid), i32::from_be_bytes(*rest.first_chunk()?)))
}

fn password(config: &PgConfig) -> Result<&[u8], Error> {
    let password = config.password.as_ref().map(|password| password.expose().as_bytes());
    password.ok_or_else(|| Error::Config(format!("the server asks for a password of {}, and none is set", config.user)))
}

fn mechanisms(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let (name, after) = cut_text(rest)?;
        rest = after;
        (!name.is_empty()).then_some(name)
    })
}

fn unexpected(what: &str) -> Error {
    Error::Protocol(what.to_owned())
}

fn unsupported(what: &str) -> Error {
    Error::Config(format!("the server asks for {what}; supported are trust, password, md5 and scram-sha-256"))
}
