use datapipe_core::object::ObjectMeta;
use datapipe_core::plan::{PipelinePlan, S3Plan};
use datapipe_core::port::PortError;
use datapipe_core::port::store::ObjectStore;
use datapipe_s3::{Credentials, S3Config, S3Store};

use super::Resolve;
use crate::seen::StoreSeen;

/// Folders lie in each other no deeper than this.
const DEPTH_MAX: usize = 16;

pub(super) fn open(plan: &S3Plan, resolve: Resolve<'_>) -> Result<S3Store, String> {
    let mut keys = Credentials::new(resolve(&plan.access_key_id)?, resolve(&plan.secret_access_key)?);
    // A profile of lasting keys has no token.
    keys.session_token = plan.session_token.as_ref().and_then(|token| resolve(token).ok());
    let mut config = S3Config::new(&plan.region, &plan.bucket, keys);
    config.endpoint.clone_from(&plan.endpoint);
    config.path_style = plan.path_style;
    Ok(S3Store::new(config))
}

pub(super) async fn look(store: &S3Store, pipeline: &PipelinePlan) -> Result<StoreSeen, String> {
    let newest = newest(store, &pipeline.names.object_prefix).await.map_err(|error| error.report())?;
    let head = match &newest {
        Some(key) => store.head(key).await.map_err(|error| error.report())?,
        None => None,
    };
    let meta = head.and_then(|head| ObjectMeta::from_map(&head.metadata).ok());
    Ok(StoreSeen { newest, newest_ms: meta.map(|meta| meta.time_max_ms) })
}

/// The last object of the last folder: names sort by time.
async fn newest(store: &S3Store, prefix: &str) -> Result<Option<String>, PortError> {
    let mut folder = prefix.to_owned();
    for _ in 0..DEPTH_MAX {
        let (mut last_folder, mut last_key, mut from) = (None, None, None::<String>);
        loop {
            let page = store.list(&folder, true, from.as_deref()).await?;
            last_folder = page.folders.into_iter().max().max(last_folder);
            last_key = page.keys.into_iter().max().max(last_key);
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        match last_folder {
            Some(inner) => folder = inner,
            None => return Ok(last_key),
        }
    }
    Ok(None)
}
