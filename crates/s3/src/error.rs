//! What can go wrong at the store, and what it means.

use std::error::Error;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId;
use datapipe_core::port::{ErrorKind, PortError};

use crate::config::S3Config;

type Cause = Box<dyn Error + Send + Sync>;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum S3Error {
    /// The store answered with an error.
    #[error("the store answered {status} {code}{}{message}{}", separator(.message), request_text(.request.as_deref()))]
    Answer {
        /// The HTTP status.
        status: u16,
        /// S3's error code, as `NoSuchBucket`; `(no code)` if the answer has none, as answers to HEAD.
        code: String,
        /// The store's own words; may be empty.
        message: String,
        /// The request's id, for the store's operator.
        request: Option<String>,
    },
    /// No connection, or it broke.
    #[error("the connection to the store failed")]
    Connection(#[source] Cause),
    /// The answer began and broke off.
    #[error("the store's answer broke off")]
    BrokenOff(#[source] Cause),
    /// No answer in time.
    #[error("the store gave no complete answer in time")]
    Timeout(#[source] Cause),
    /// The answer makes no sense.
    #[error("the store's answer cannot be read")]
    Garbled(#[source] Cause),
    /// The request could not be made from the settings.
    #[error("the request cannot be made")]
    Request(#[source] Cause),
    /// The local file that holds the object cannot be read.
    #[error("the spool file cannot be read")]
    Spool(#[source] std::io::Error),
    /// The local file that holds the object has another size than it was said to have.
    #[error("the spool file holds {found} bytes instead of {expected}")]
    SpoolSize {
        /// What it was said to hold, in bytes.
        expected: u64,
        /// What it holds, in bytes.
        found: u64,
    },
    /// The store ignored the range.
    #[error("the store sent {found} bytes where at most {asked} were asked for from byte {offset} on")]
    RangeIgnored {
        /// Where the range starts.
        offset: u64,
        /// Its length in bytes.
        asked: u64,
        /// What came, in bytes.
        found: u64,
    },
}

fn separator(message: &str) -> &'static str {
    if message.is_empty() { "" } else { ": " }
}

fn request_text(request: Option<&str>) -> String {
    request.map(|id| format!(" (request {id})")).unwrap_or_default()
}

impl S3Error {
    /// S3's error code, if the store gave one.
    pub(crate) fn code(&self) -> &str {
        match self {
            Self::Answer { code, .. } => code,
            _ => "",
        }
    }

    /// The answer's HTTP status; 0 without an answer.
    pub(crate) const fn status(&self) -> u16 {
        match self {
            Self::Answer { status, .. } => *status,
            _ => 0,
        }
    }

    /// Whether the same request may succeed later without anybody's doing.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Connection(_) | Self::BrokenOff(_) | Self::Timeout(_) | Self::Garbled(_) => true,
            Self::Answer { status, code, .. } => {
                (*status >= 500 && *status != 501)
                    || matches!(*status, 408 | 409 | 429)
                    || matches!(
                        code.as_str(),
                        "RequestTimeout" | "SlowDown" | "BadDigest" | "XAmzContentChecksumMismatch"
                    )
            }
            Self::Request(_) | Self::Spool(_) | Self::SpoolSize { .. } | Self::RangeIgnored { .. } => false,
        }
    }

    /// The port's view: `attempt` says what was tried, on which object. `unsure` is the kind of a failure that may
    /// have had an effect or may pass by itself.
    pub(crate) fn into_port(self, config: &S3Config, attempt: &str, unsure: ErrorKind) -> PortError {
        let kind = if self.retryable() { unsure } else { ErrorKind::Refused };
        let attempt = format!("{attempt} in bucket {} at {}", config.bucket, config.server());
        let error = PortError::new(kind, attempt);
        let error = match self.next_step(config) {
            Some(hint) => error.hint(hint),
            None => error,
        };
        error.because(self)
    }

    fn next_step(&self, config: &S3Config) -> Option<String> {
        let hint = match self {
            Self::Connection(_) | Self::BrokenOff(_) | Self::Timeout(_) => format!(
                "check that the S3 server is up and reachable at {} (s3.endpoint), and that the scheme http or https is \
                 right",
                config.server()
            ),
            Self::Request(_) => "check s3.endpoint, s3.region and s3.bucket".to_owned(),
            Self::Spool(_) => {
                "check that the spool folder exists, is readable and is not cleaned while running".to_owned()
            }
            Self::SpoolSize { .. } => "nothing but datapipe may write to the spool folder".to_owned(),
            Self::RangeIgnored { .. } => {
                "the store, or a proxy in front of it, does not honour ranged reads: use one that does".to_owned()
            }
            Self::Garbled(_) => {
                format!("check that {} is an S3 server and not some other web server or a proxy", config.server())
            }
            Self::Answer { status, code, .. } => return answer_hint(*status, code, config),
        };
        Some(hint)
    }
}

fn answer_hint(status: u16, code: &str, config: &S3Config) -> Option<String> {
    let bucket = &config.bucket;
    let hint = match code {
        "NoSuchBucket" => format!("create the bucket {bucket}, or name another one in s3.bucket"),
        "InvalidAccessKeyId" => "the store does not know the access key: check s3.access_key_id (or the keys of \
             s3.profile); temporary keys need s3.session_token too"
            .to_owned(),
        "SignatureDoesNotMatch" => "check s3.secret_access_key; a wrong s3.region gives the same error".to_owned(),
        "ExpiredToken" | "InvalidToken" => {
            "the temporary keys have ended: renew them where s3.profile or s3.session_token says; they are read again \
             whenever a task starts"
                .to_owned()
        }
        "RequestTimeTooSkewed" => "this machine's clock and the store's differ: synchronise it".to_owned(),
        "AuthorizationHeaderMalformed"
        | "PermanentRedirect"
        | "TemporaryRedirect"
        | "IllegalLocationConstraintException" => {
            format!("the bucket {bucket} is in another region: set s3.region (now {})", config.region)
        }
        "AccessDenied" | "AllAccessDisabled" => rights_hint(bucket),
        "NotImplemented" => {
            "the store does not support conditional writes (If-None-Match on PUT): use one that does".to_owned()
        }
        "EntityTooLarge" => "lower sink.bytes_max, so that objects are cut earlier".to_owned(),
        "QuotaExceeded" | "XMinioStorageFull" | "InsufficientStorage" => "the store is full: make room".to_owned(),
        "InvalidBucketName" => format!("{bucket} is no valid bucket name: check s3.bucket, and s3.path_style"),
        _ if status == 403 => rights_hint(bucket),
        _ if status == 301 || status == 307 => {
            format!("the bucket {bucket} is elsewhere: check s3.region (now {}) and s3.endpoint", config.region)
        }
        _ => return None,
    };
    Some(hint)
}

fn rights_hint(bucket: &str) -> String {
    format!(
        "check the access key and its secret, and grant them s3:GetObject and s3:PutObject on {bucket}/* and s3:ListBucket on \
         {bucket} (without s3:ListBucket a missing object looks forbidden)"
    )
}

impl<E> From<SdkError<E>> for S3Error
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    fn from(error: SdkError<E>) -> Self {
        match error {
            SdkError::ServiceError(context) => {
                let meta = context.err().meta();
                Self::Answer {
                    status: context.raw().status().as_u16(),
                    code: meta.code().unwrap_or("(no code)").to_owned(),
                    message: meta.message().unwrap_or_default().to_owned(),
                    request: meta.request_id().map(str::to_owned),
                }
            }
            SdkError::TimeoutError(_) => Self::Timeout(Box::new(error)),
            SdkError::DispatchFailure(ref failure) if failure.is_timeout() => Self::Timeout(Box::new(error)),
            SdkError::DispatchFailure(ref failure) if failure.is_user() => Self::Request(Box::new(error)),
            SdkError::DispatchFailure(_) => Self::Connection(Box::new(error)),
            SdkError::ResponseError(_) => Self::Garbled(Box::new(error)),
            _ => Self::Request(Box::new(error)),
        }
    }
}
