#!/bin/sh
# Installs the second S3 server of the tests: MinIO, one pinned version, built from source through Go's module proxy
# (Go checks the sums of all modules). It takes 4 to 13 minutes once; afterwards this is a no-op.
# The last line printed is the binary's path, where crates/s3/tests/second_server.rs looks for it.
set -eu

version=v0.0.0-20260212201848-7aac2a2c5b7c
bin="${HOME:?HOME is not set}/.cache/datapipe/bin"
server="$bin/minio-$version"

if [ ! -x "$server" ]; then
    if ! command -v go >/dev/null 2>&1; then
        echo "s3-server: Go 1.24 or later is needed to build the second S3 server: apt-get install golang-go" >&2
        exit 1
    fi
    mkdir -p "$bin"
    build=$(mktemp -d "$bin/build.XXXXXX")
    trap 'rm -rf "$build"' EXIT
    trap 'exit 1' INT TERM
    # One compiler at a time and no priority: the build runs beside the tests. JOBS=4 scripts/s3-server.sh hurries it.
    GOBIN="$build" CGO_ENABLED=0 GOMAXPROCS="${JOBS:-1}" \
        nice go install -p "${JOBS:-1}" -trimpath -ldflags '-s -w' "github.com/minio/minio@$version" >&2
    # The rename makes a half-built server impossible.
    mv "$build/minio" "$server"
fi
echo "$server"
