//! A deployment's servers, from where its workers are.

use datapipe_checks::look::{Proof, asked, within};
use datapipe_checks::{Category, Looked, Seen, SeenInside, WorkerSeen};
use datapipe_core::plan::{PipelinePlan, Plan, Problem};
use datapipe_k8s::RenderOptions;
use datapipe_k8s::apply::{Cluster, InsideLook};

use crate::cli::Cli;
use crate::verify::now_ms;

/// What a pod sees.
const OF_SERVERS: [Category; 4] = [Category::Postgres, Category::Kafka, Category::S3, Category::Network];

/// What was seen there.
pub(crate) struct SeenThere {
    pub(crate) seen: Seen,
    /// What the worker's own test has found; none of that if nobody asked.
    pub(crate) problems: Looked<Vec<Problem>>,
    pub(crate) proof: Proof,
}

impl SeenThere {
    /// What was seen without a pod.
    pub(crate) fn from_here(seen: Seen) -> Self {
        let why = "--inside looks from a pod".to_owned();
        Self { seen, problems: Looked::Left(why.clone()), proof: Proof::Left(why) }
    }
}

/// A cluster, or why there is none.
pub(crate) struct Inside {
    cluster: Result<Cluster, String>,
    options: RenderOptions,
    only: Vec<Category>,
    host: String,
    what: InsideLook,
}

impl Inside {
    pub(crate) async fn of(cli: &Cli, options: RenderOptions) -> Self {
        let cluster = match Cluster::connect(cli.context.as_deref()).await {
            Ok(cluster) => {
                // If that fails, making one will say why.
                let _ = cluster.remove_left_looks().await;
                Ok(cluster)
            }
            Err(error) => Err(error.to_string()),
        };
        let run = format!("{}-{}", now_ms(), std::process::id());
        let what = InsideLook { run, timeout: cli.timeout.0, flags: flags(cli), compares: cli.compares() };
        Self { cluster, options, only: cli.only.clone(), host: cli.host.clone(), what }
    }

    /// Looks at one table.
    pub(crate) async fn look(&self, plan: &Plan, pipeline: &PipelinePlan) -> SeenThere {
        let (worker, pod) = tokio::join!(self.worker(pipeline), self.servers(plan, pipeline));
        let nobody = "no pod has looked: see DP0803";
        let (seen, problems, proof) = match pod {
            Looked::Seen(SeenInside { seen, problems, proof }) => (seen, Looked::Seen(problems), proof),
            Looked::Silent(why) => (unseen(nobody), Looked::Silent(why), None),
            Looked::Left(why) => (unseen(&why), Looked::Left(why), None),
        };
        let Seen { postgres, kafka, store, edges, .. } = seen;
        let seen = Seen {
            worker,
            postgres: self.kept(Category::Postgres, postgres),
            kafka: self.kept(Category::Kafka, kafka),
            store: self.kept(Category::S3, store),
            edges: self.kept(Category::Network, edges),
            rest: None,
        };
        SeenThere { seen, problems, proof: proof.unwrap_or_else(|| Proof::Left(nobody.to_owned())) }
    }

    /// Takes away what this run has made, when it is broken off.
    pub(crate) async fn remove(&self) {
        let Ok(cluster) = &self.cluster else { return };
        // Kubernetes ends them by their deadline otherwise, and the next run takes them away.
        let _ = tokio::time::timeout(self.what.timeout, cluster.remove_looks(&self.what.run)).await;
    }

    fn wants(&self, category: Category) -> bool {
        self.only.is_empty() || self.only.contains(&category)
    }

    fn kept<T>(&self, category: Category, looked: Looked<T>) -> Looked<T> {
        if self.wants(category) { looked } else { not_asked() }
    }

    async fn servers(&self, plan: &Plan, pipeline: &PipelinePlan) -> Looked<SeenInside> {
        if !self.what.compares && !OF_SERVERS.into_iter().any(|category| self.wants(category)) {
            return not_asked();
        }
        let cluster = match &self.cluster {
            Ok(cluster) => cluster,
            Err(why) => return Looked::Silent(why.clone()),
        };
        match cluster.look_inside(plan, pipeline, &self.options, &self.what).await {
            Ok(document) => match serde_json::from_str(&document) {
                Ok(seen) => Looked::Seen(seen),
                Err(error) => Looked::Silent(format!(
                    "what the pod says is not understood, {error}: its image {} is of another version",
                    self.options.worker_image
                )),
            },
            Err(why) => Looked::Silent(why),
        }
    }

    async fn worker(&self, pipeline: &PipelinePlan) -> Looked<WorkerSeen> {
        if !self.wants(Category::Worker) && !self.wants(Category::Connector) {
            return not_asked();
        }
        let cluster = match &self.cluster {
            Ok(cluster) => cluster,
            Err(why) => return Looked::Silent(why.clone()),
        };
        let get = async |path: &str| {
            let answer = cluster.ask_worker(&pipeline.names.worker, path).await;
            answer.map_err(|error| error.to_string())
        };
        // Where a person asks it.
        let url = format!("http://{}:{}", self.host, pipeline.port);
        within(self.what.timeout, asked(&url, get, self.what.timeout)).await
    }
}

/// The flags by which a pod looks at what this run was told to look at.
fn flags(cli: &Cli) -> Vec<String> {
    let servers =
        cli.only.iter().filter(|category| [Category::Postgres, Category::Kafka, Category::S3].contains(category));
    let mut flags: Vec<String> = servers.flat_map(|category| ["--only", category.word()]).map(str::to_owned).collect();
    if cli.compares() {
        let proof = &cli.proof;
        flags.extend(["--data".to_owned(), "--catch-up".to_owned(), proof.catch_up.to_string()]);
        if proof.one_of > 1 {
            flags.extend(["--one-of".to_owned(), proof.one_of.to_string()]);
        }
        flags.extend(proof.repair.then(|| "--repair".to_owned()));
    }
    flags
}

fn not_asked<T>() -> Looked<T> {
    Looked::Left("not asked for by --only".to_owned())
}

fn unseen(why: &str) -> Seen {
    let why = || why.to_owned();
    Seen {
        worker: Looked::Left(why()),
        postgres: Looked::Left(why()),
        kafka: Looked::Left(why()),
        store: Looked::Left(why()),
        edges: Looked::Left(why()),
        rest: None,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn a_pod_is_told_what_the_run_was_told() {
        let told = |more: &str| flags(&Cli::parse_from(format!("datapipe-verify --inside {more}").split_whitespace()));
        assert_eq!(told("").join(" "), "");
        assert_eq!(told("--only worker,s3,network").join(" "), "--only s3");
        let rows = told("--only kafka,postgres --data --catch-up 500ms --one-of 10");
        assert_eq!(rows.join(" "), "--only kafka --only postgres --data --catch-up 500ms --one-of 10");
        assert_eq!(told("--repair").join(" "), "--data --catch-up 2m --repair");
    }
}
