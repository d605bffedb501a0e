use std::collections::BTreeMap;

use datapipe_core::object::ObjectMeta;
use datapipe_core::plan::{PipelinePlan, S3Plan};
use datapipe_core::port::PortError;
use datapipe_core::port::store::ObjectStore;
use datapipe_s3::{Credentials, S3Config, S3Store};

use super::Resolve;
use crate::seen::{ObjectSeen, StoreSeen};

/// Folders lie in each other no deeper than this.
const DEPTH_MAX: usize = 16;
/// So many of the last objects of a chain are looked at, and so many chains.
const RECENT_MAX: usize = 8;
const CHAINS_MAX: usize = 16;

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
    let told = |error: PortError| error.report();
    let prefix = &pipeline.names.object_prefix;
    let clock_ms = store.date_ms(prefix).await.map_err(told)?;
    let chains = newest(store, prefix).await.map_err(told)?;
    let mut seen = StoreSeen { newest: None, newest_ms: None, clock_ms, recent: Vec::new() };
    let mut of_chain = None;
    for (chain, keys) in &chains {
        let Some(key) = keys.last() else { continue };
        let object = object(store, key).await.map_err(told)?;
        let newest_ms = object.map(|object| object.to_ms);
        if seen.newest.is_none() || newest_ms > seen.newest_ms {
            (seen.newest, seen.newest_ms, of_chain) = (Some(key.clone()), newest_ms, Some(chain));
        }
    }
    for key in of_chain.and_then(|chain| chains.get(chain)).into_iter().flatten() {
        seen.recent.extend(object(store, key).await.map_err(told)?);
    }
    Ok(seen)
}

/// What an object says of itself; none if it says nothing, as another kind of sink's.
async fn object(store: &S3Store, key: &str) -> Result<Option<ObjectSeen>, PortError> {
    let Some(head) = store.head(key).await? else { return Ok(None) };
    let meta = ObjectMeta::from_map(&head.metadata).ok();
    Ok(meta.map(|meta| ObjectSeen {
        bytes: head.size,
        records: meta.written,
        from_ms: meta.time_min_ms,
        to_ms: meta.time_max_ms,
    }))
}

/// The object that holds an offset, among the last ones; none if there is none yet.
pub(super) async fn holding(
    store: &S3Store,
    pipeline: &PipelinePlan,
    partition: i32,
    offset: i64,
) -> Result<Option<String>, PortError> {
    let chains = newest(store, &pipeline.names.object_prefix).await?;
    for key in chains.into_values().flatten() {
        let head = store.head(&key).await?;
        let meta = head.and_then(|head| ObjectMeta::from_map(&head.metadata).ok());
        if meta.is_some_and(|meta| meta.partition == partition && (meta.covers_from..meta.next).contains(&offset)) {
            return Ok(Some(format!("in {key}")));
        }
    }
    Ok(None)
}

/// The last objects of the last folder, in order, by the chain they are of: names sort by time, and a chain's names are
/// the same up to the last dash.
async fn newest(store: &S3Store, prefix: &str) -> Result<BTreeMap<String, Vec<String>>, PortError> {
    let mut folder = prefix.to_owned();
    for _ in 0..DEPTH_MAX {
        let (mut last_folder, mut chains, mut from) = (None, BTreeMap::<String, Vec<String>>::new(), None::<String>);
        loop {
            let page = store.list(&folder, true, from.as_deref()).await?;
            last_folder = page.folders.into_iter().max().max(last_folder);
            for key in page.keys {
                let chain = key.rsplit_once('-').map_or("", |(chain, _)| chain).to_owned();
                if chains.len() < CHAINS_MAX || chains.contains_key(&chain) {
                    let keys = chains.entry(chain).or_default();
                    keys.push(key);
                    keys.sort_unstable();
                    keys.drain(..keys.len().saturating_sub(RECENT_MAX));
                }
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        match last_folder {
            Some(inner) => folder = inner,
            None => return Ok(chains),
        }
    }
    Ok(BTreeMap::new())
}
