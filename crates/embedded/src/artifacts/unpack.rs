//! PostgreSQL's portable binaries: a jar that holds one archive (`.txz`), unpacked here so that no `xz` is needed.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use super::{Cache, digest, maven};
use crate::{Error, Progress, Result};

const GROUP: &str = "io.zonky.test.postgres";
const ARCHIVE: &str = "archive.txz";

/// One build of PostgreSQL for one platform.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PostgresBuild {
    platform: &'static str,
    version: &'static str,
    /// The archive's name in the jar.
    archive: &'static str,
    /// SHA-256 of the archive.
    sha256: &'static str,
}

/// Version 18.4 for the platforms it was published for.
const BUILDS: [PostgresBuild; 4] = [
    PostgresBuild {
        platform: "linux-amd64",
        version: "18.4.0",
        archive: "postgres-linux-x86_64.txz",
        sha256: "a5bd167846d36838e24bf43afe0b89e4bee5deab88b300e8bb796bf8f5ac08b2",
    },
    PostgresBuild {
        platform: "linux-arm64v8",
        version: "18.4.0",
        archive: "postgres-linux-arm_64.txz",
        sha256: "e82704ca265154fb573a24f3b0ca78520d4095beb892482431a08d53fe22268d",
    },
    PostgresBuild {
        platform: "darwin-amd64",
        version: "18.4.0",
        archive: "postgres-darwin-x86_64.txz",
        sha256: "2ec38ea8bfbbce44a2a56484392af5f84ff778d47b90a3aff98305ec08b6bc93",
    },
    PostgresBuild {
        platform: "darwin-arm64v8",
        version: "18.4.0",
        archive: "postgres-darwin-arm_64.txz",
        sha256: "d7d1a3a996ab6cd7e0f28a4f7778ae79eb6d1b95c774ac2a3e14958dd876466e",
    },
];

impl PostgresBuild {
    /// The build for this machine.
    pub(crate) fn for_this_machine() -> Result<Self> {
        let platform = match (std::env::consts::OS, std::env::consts::ARCH) {
            ("linux", "x86_64") => "linux-amd64",
            ("linux", "aarch64") => "linux-arm64v8",
            ("macos", "x86_64") => "darwin-amd64",
            ("macos", "aarch64") => "darwin-arm64v8",
            _ => "",
        };
        BUILDS.into_iter().find(|build| build.platform == platform).ok_or_else(|| Error::UnsupportedPlatform {
            what: "PostgreSQL binaries",
            platform: format!("{} on {}", std::env::consts::OS, std::env::consts::ARCH),
        })
    }

    /// Its folder in the cache.
    pub(crate) fn folder(self) -> String {
        format!("postgres-{}-{}", self.version, self.platform)
    }
}

/// The folder with `bin`, `lib` and `share`, fetched and unpacked on first use.
pub(crate) fn postgres(cache: &Cache, build: PostgresBuild, progress: &Progress) -> Result<PathBuf> {
    cache.folder(&build.folder(), |folder, is_new| {
        let archive = folder.join(ARCHIVE);
        if is_new {
            progress.line(&format!("fetching PostgreSQL {} for {} with Maven, once", build.version, build.platform));
            fetch(build, folder, &archive, progress)?;
            digest::check(&archive, build.sha256)?;
            progress.line("  unpacking");
            untar(&archive, folder)?;
            fs::remove_file(&archive).map_err(Error::io(format!("remove {}", archive.display())))?;
        }
        Ok(())
    })
}

fn fetch(build: PostgresBuild, folder: &Path, archive: &Path, progress: &Progress) -> Result<()> {
    let jar = folder.join("jar");
    fs::create_dir(&jar).map_err(Error::io(format!("create {}", jar.display())))?;
    let coordinates = format!("{GROUP}:embedded-postgres-binaries-{}:{}", build.platform, build.version);
    maven::unpack(&coordinates, &jar, progress)?;
    let unpacked = jar.join(build.archive);
    fs::rename(&unpacked, archive).map_err(Error::io(format!("find {} in {coordinates}", build.archive)))?;
    fs::remove_dir_all(&jar).map_err(Error::io(format!("remove {}", jar.display())))
}

fn untar(archive: &Path, folder: &Path) -> Result<()> {
    let file = File::open(archive).map_err(Error::io(format!("open {}", archive.display())))?;
    let plain = lzma_rust2::XzReader::new(BufReader::new(file), false);
    tar::Archive::new(plain).unpack(folder).map_err(Error::io(format!("unpack {}", archive.display())))
}
