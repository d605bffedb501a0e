//! What the plan's references lead to, out of one Secret: variables, and files where the references look for them.

use std::collections::{BTreeMap, BTreeSet};

use datapipe_core::plan::Plan;
use datapipe_core::secret::SecretRef;
use k8s_openapi::api::core::v1::{
    EnvVar, EnvVarSource, KeyToPath, SecretKeySelector, SecretVolumeSource, Volume, VolumeMount,
};

use crate::CREDENTIALS;
use crate::parts::read_only;

/// How a pod gets them.
pub(super) struct Secrets {
    env: BTreeSet<String>,
    /// The files of each folder.
    folders: BTreeMap<String, BTreeSet<String>>,
}

/// A property of Kafka's clients that names a file.
const FILE_PROPERTIES: [&str; 4] =
    ["ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "ssl.keystore.location"];

/// The keys that the Secret must have. A variable's is its name, a file's too.
pub(crate) fn secret_keys(plan: &Plan) -> BTreeSet<String> {
    let Secrets { env, folders } = Secrets::of(plan);
    env.into_iter().chain(folders.into_values().flatten()).collect()
}

impl Secrets {
    pub(super) fn of(plan: &Plan) -> Self {
        let (mut env, mut folders) = (BTreeSet::new(), BTreeMap::<String, BTreeSet<String>>::new());
        let mut file = |path: &str| {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("/", path));
            folders.entry(folder.to_owned()).or_default().insert(name.to_owned());
        };
        let kafka = plan.kafka.properties.values().filter_map(|value| value.parse::<SecretRef>().ok());
        for reference in plan.run.config_providers.named.iter().cloned().chain(kafka) {
            match reference {
                SecretRef::Env(name) => drop(env.insert(name)),
                SecretRef::File { path, .. } => file(&path),
                SecretRef::Dir { path, file: name } => file(&format!("{path}/{name}")),
                // Refused by the checks: the file is on a person's machine.
                SecretRef::Profile { .. } => {}
            }
        }
        for (_, path) in plan.kafka.properties.iter().filter(|(key, _)| FILE_PROPERTIES.contains(&key.as_str())) {
            file(path);
        }
        Self { env, folders }
    }

    pub(super) fn env(&self) -> Vec<EnvVar> {
        let variable = |name: &String| EnvVar {
            name: name.clone(),
            value_from: Some(EnvVarSource {
                secret_key_ref: Some(SecretKeySelector {
                    name: CREDENTIALS.to_owned(),
                    key: name.clone(),
                    optional: None,
                }),
                ..EnvVarSource::default()
            }),
            ..EnvVar::default()
        };
        self.env.iter().map(variable).collect()
    }

    pub(super) fn volumes(&self) -> Vec<Volume> {
        let volume = |(index, files): (usize, &BTreeSet<String>)| Volume {
            name: name(index),
            secret: Some(SecretVolumeSource {
                secret_name: Some(CREDENTIALS.to_owned()),
                default_mode: Some(0o440),
                items: Some(
                    files.iter().map(|file| KeyToPath { key: file.clone(), path: file.clone(), mode: None }).collect(),
                ),
                ..SecretVolumeSource::default()
            }),
            ..Volume::default()
        };
        self.folders.values().enumerate().map(volume).collect()
    }

    pub(super) fn mounts(&self) -> Vec<VolumeMount> {
        self.folders.keys().enumerate().map(|(index, folder)| read_only(&name(index), folder)).collect()
    }
}

fn name(index: usize) -> String {
    if index == 0 { "credentials".to_owned() } else { format!("credentials-{index}") }
}
