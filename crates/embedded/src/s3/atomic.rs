//! File-backed objects with atomic writes.
//!
//! `s3s-fs` checks a condition, takes the body, renames the file into place and writes the metadata, in separate steps:
//! of sixteen racing conditional writes several win, a reader may see an object without its metadata, and a client that
//! goes away in the middle leaves it so. Here the body is taken first; then one task, which no vanished client can
//! cancel, does all steps under the key's lock, and readers take the same lock. It also makes a bucket that is missing
//! where S3 refuses; here it is refused.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
#[allow(clippy::wildcard_imports, reason = "the operations' types, two for each")]
use s3s::dto::*;
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use s3s_fs::FileSystem;
use tokio::sync::OwnedRwLockWriteGuard;

use super::locks::KeyLocks;
use crate::{Error, Result};

/// A body is held in memory until it is complete; this bounds one.
const BODY_BYTES_MAX: usize = 256 * 1024 * 1024;

/// The objects in a folder.
#[derive(Debug)]
pub(crate) struct AtomicFiles {
    folder: PathBuf,
    files: Arc<FileSystem>,
    locks: KeyLocks,
}

impl AtomicFiles {
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let files = FileSystem::new(folder).map_err(|error| {
            Error::io(format!("open the buckets in {}", folder.display()))(std::io::Error::other(format!("{error:?}")))
        })?;
        Ok(Self { folder: folder.to_owned(), files: Arc::new(files), locks: KeyLocks::new() })
    }

    /// A bucket is a folder; its name has been checked to be one that S3 allows.
    async fn has_bucket(&self, name: &str) -> S3Result<()> {
        match tokio::fs::metadata(self.folder.join(name)).await {
            Ok(metadata) if metadata.is_dir() => Ok(()),
            _ => Err(s3_error!(NoSuchBucket, "The specified bucket does not exist")),
        }
    }

    /// Runs `work` under its lock to the end, even if the request that asked for it is dropped.
    async fn to_the_end<T: Send + 'static>(
        guard: OwnedRwLockWriteGuard<()>,
        work: impl Future<Output = S3Result<T>> + Send + 'static,
    ) -> S3Result<T> {
        let locked = async move {
            let _guard = guard;
            work.await
        };
        match tokio::spawn(locked).await {
            Ok(result) => result,
            Err(error) => Err(s3_error!(error, InternalError)),
        }
    }
}

/// The complete body, as a body again.
async fn received(body: Option<StreamingBlob>) -> S3Result<Option<StreamingBlob>> {
    let Some(mut body) = body else { return Ok(None) };
    let mut chunks: Vec<Bytes> = Vec::new();
    let mut len = 0;
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| S3Error::with_source(S3ErrorCode::IncompleteBody, error))?;
        len += chunk.len();
        if len > BODY_BYTES_MAX {
            return Err(s3_error!(EntityTooLarge, "one request may carry {} bytes", BODY_BYTES_MAX));
        }
        chunks.push(chunk);
    }
    let chunks = stream::iter(chunks.into_iter().map(Ok::<_, std::io::Error>));
    Ok(Some(StreamingBlob::wrap(chunks)))
}

/// The whole implementation, because `async_trait` does not look into macros: lists of operations by the lock they take.
macro_rules! operations {
    (
        unlocked { $($free:ident: $free_in:ident => $free_out:ident,)* }
        reading { $($read:ident: $read_in:ident => $read_out:ident,)* }
        writing { $($write:ident: $write_in:ident => $write_out:ident,)* }
    ) => {
        #[async_trait::async_trait]
        impl S3 for AtomicFiles {
            async fn put_object(
                &self,
                mut request: S3Request<PutObjectInput>,
            ) -> S3Result<S3Response<PutObjectOutput>> {
                request.input.body = received(request.input.body.take()).await?;
                self.has_bucket(&request.input.bucket).await?;
                let guard = self.locks.write(&request.input.bucket, &request.input.key).await;
                let files = Arc::clone(&self.files);
                Self::to_the_end(guard, async move { files.put_object(request).await }).await
            }

            async fn create_multipart_upload(
                &self,
                request: S3Request<CreateMultipartUploadInput>,
            ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
                self.has_bucket(&request.input.bucket).await?;
                self.files.create_multipart_upload(request).await
            }

            $(async fn $free(&self, request: S3Request<$free_in>) -> S3Result<S3Response<$free_out>> {
                self.files.$free(request).await
            })*

            $(async fn $read(&self, request: S3Request<$read_in>) -> S3Result<S3Response<$read_out>> {
                let _guard = self.locks.read(&request.input.bucket, &request.input.key).await;
                self.files.$read(request).await
            })*

            $(async fn $write(&self, request: S3Request<$write_in>) -> S3Result<S3Response<$write_out>> {
                let guard = self.locks.write(&request.input.bucket, &request.input.key).await;
                let files = Arc::clone(&self.files);
                Self::to_the_end(guard, async move { files.$write(request).await }).await
            })*
        }
    };
}

operations! {
    // They touch no object, or only parts of an upload that nobody sees yet.
    unlocked {
        abort_multipart_upload: AbortMultipartUploadInput => AbortMultipartUploadOutput,
        create_bucket: CreateBucketInput => CreateBucketOutput,
        delete_bucket: DeleteBucketInput => DeleteBucketOutput,
        delete_objects: DeleteObjectsInput => DeleteObjectsOutput,
        get_bucket_location: GetBucketLocationInput => GetBucketLocationOutput,
        head_bucket: HeadBucketInput => HeadBucketOutput,
        list_buckets: ListBucketsInput => ListBucketsOutput,
        list_objects: ListObjectsInput => ListObjectsOutput,
        list_objects_v2: ListObjectsV2Input => ListObjectsV2Output,
        list_parts: ListPartsInput => ListPartsOutput,
        upload_part: UploadPartInput => UploadPartOutput,
    }
    reading {
        get_object: GetObjectInput => GetObjectOutput,
        head_object: HeadObjectInput => HeadObjectOutput,
    }
    writing {
        complete_multipart_upload: CompleteMultipartUploadInput => CompleteMultipartUploadOutput,
        copy_object: CopyObjectInput => CopyObjectOutput,
        delete_object: DeleteObjectInput => DeleteObjectOutput,
    }
}
