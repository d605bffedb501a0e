//! An upload's bytes and their checksum.

use std::io::Read;
use std::path::Path;

use aws_sdk_s3::primitives::{ByteStream, Length};
use aws_smithy_checksums::ChecksumAlgorithm;
use aws_smithy_checksums::http::HttpChecksum;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use datapipe_core::port::store::Body;

use crate::error::S3Error;

/// The largest object that one PUT may create, in bytes (Amazon S3's limit).
pub(crate) const PUT_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;

/// How much of a file is in memory while it is read.
const READ_BYTES: usize = 64 * 1024;

/// The body's CRC-32C as the header `x-amz-checksum-crc32c` wants it.
///
/// A streamed body is not signed, so without it nothing would tell the store that bytes were altered on their way.
/// It is sent in the head of the request, which every store understands or ignores; the SDK's own would be a trailer,
/// which several stores refuse.
pub(crate) async fn checksum(body: &Body) -> Result<String, S3Error> {
    match body {
        Body::Memory(bytes) => {
            let mut sum = crc();
            sum.update(bytes);
            Ok(STANDARD.encode(sum.finalize()))
        }
        Body::File { path, size } => {
            let (path, size) = (path.clone(), *size);
            let reading = tokio::task::spawn_blocking(move || file_checksum(&path, size));
            reading.await.map_err(|error| S3Error::Spool(std::io::Error::other(error)))?
        }
    }
}

/// The bytes as a stream that can be sent again from its start.
pub(crate) async fn stream(body: &Body) -> Result<ByteStream, S3Error> {
    match body {
        Body::Memory(bytes) => Ok(ByteStream::from(bytes.clone())),
        Body::File { path, size } => ByteStream::read_from()
            .path(path)
            .length(Length::Exact(*size))
            .buffer_size(READ_BYTES)
            .build()
            .await
            .map_err(|error| S3Error::Spool(std::io::Error::other(error))),
    }
}

fn crc() -> Box<dyn HttpChecksum> {
    ChecksumAlgorithm::Crc32c.into_impl()
}

fn file_checksum(path: &Path, size: u64) -> Result<String, S3Error> {
    let mut file = std::fs::File::open(path).map_err(S3Error::Spool)?;
    let mut buffer = vec![0; READ_BYTES];
    let mut sum = crc();
    let mut found = 0u64;
    loop {
        let read = file.read(&mut buffer).map_err(S3Error::Spool)?;
        if read == 0 {
            break;
        }
        sum.update(&buffer[..read]);
        found += read as u64;
    }
    if found != size {
        return Err(S3Error::SpoolSize { expected: size, found });
    }
    Ok(STANDARD.encode(sum.finalize()))
}
