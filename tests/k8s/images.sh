#!/usr/bin/env bash
# images.sh OUT.tar: the images of a deployment, from this machine's own programs, the pinned jars and what is built here.
# JRE, PostgreSQL and the shell's tools are copied with the libraries that they load, so no package is fetched.
#
#   DATAPIPE_RUN, WORKER_IMAGE  the native worker, and its image's name
#   BED                         what the tests ask in the cluster
#   MINIO                       the S3 server
#   JARS                        a file with the folders of the broker's jars, of Kafka Connect's and of Debezium's
#   ARCHIVE                     the archive of Kafka Connect's classes
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# layer NAME: the folder that becomes a layer.
layer() { mkdir -p "$work/$1" && echo "$work/$1"; }

# place FILE FOLDER: a file at its own place. The machine's /bin and /lib are links into /usr, and so are the image's.
place() {
    local to
    to=$2$(realpath "$(dirname "$1")")/$(basename "$1")
    [ -e "$to" ] || [ -e "$work/base${to#"$2"}" ] && return
    mkdir -p "$(dirname "$to")"
    cp --dereference --preserve=mode,timestamps "$1" "$to"
}

# libraries FOLDER FILE...: what these programs load. Of a library that this machine lacks too, nothing here makes use.
libraries() {
    local folder=$1 library
    shift
    { ldd "$@" 2> /dev/null || true; } | sed -nE 's,^(.* => |\s+)(/[^ ]+) .*,\2,p' | sort -u | while read -r library; do
        place "$library" "$folder"
    done
}

# programs FOLDER NAME...: programs of the path, with their libraries.
programs() {
    local folder=$1 name
    shift
    for name in "$@"; do
        place "$(command -v "$name")" "$folder"
        libraries "$folder" "$(command -v "$name")"
    done
}

postgres_major=15

base() {
    local folder
    folder=$(layer base)
    mkdir -p "$folder"/usr/{bin,sbin,lib,lib64} "$folder"/{etc,opt,run,var/lib}
    for name in bin sbin lib lib64; do ln -s "usr/$name" "$folder/$name"; done
    mkdir -m 1777 "$folder/tmp"
    programs "$folder" bash sh cat chmod cp cut env getent grep head id ls mkdir mv rm sed sha256sum sleep tail tar timeout tr
    mkdir -p "$folder/usr/lib/locale" && cp -a /usr/lib/locale/C.utf8 "$folder/usr/lib/locale/"
    printf '%s\n' root:x:0:0::/:/bin/sh postgres:x:999:999::/:/bin/sh datapipe:x:10001:10001::/:/bin/sh > "$folder/etc/passwd"
    printf '%s\n' root:x:0: postgres:x:999: datapipe:x:10001: > "$folder/etc/group"
    echo "hosts: files dns" > "$folder/etc/nsswitch.conf"
}

jre() {
    local folder home
    folder=$(layer jre)
    home=$(dirname "$(dirname "$(readlink -f "$(command -v java)")")")
    mkdir -p "$folder$home" "$folder/usr/bin"
    # Debian's packages link to files elsewhere, some of which are in packages of their own.
    (cd "$home" && find -L bin/java conf lib -type f ! -name ct.sym ! -name src.zip -print0 |
        xargs -0 cp --parents --dereference --preserve=mode,timestamps -t "$folder$home")
    # shellcheck disable=SC2046
    libraries "$folder" "$home/bin/java" $(find "$home/lib" -name '*.so')
    ln -s "$home/bin/java" "$folder/usr/bin/java"
}

postgres() {
    local folder home=/usr/lib/postgresql/$postgres_major part
    folder=$(layer postgres)
    mkdir -p "$folder$home/bin"
    for part in initdb pg_ctl pg_isready pg_recvlogical postgres psql; do place "$home/bin/$part" "$folder"; done
    cp -a "$home/lib" "$folder$home/"
    # The compiler for queries is a hundred megabytes, and the server does without.
    rm -rf "$folder$home"/lib/{bitcode,llvmjit*,pgxs}
    # shellcheck disable=SC2046
    libraries "$folder" "$folder$home"/bin/* $(find "$folder$home/lib" -name '*.so')
    mkdir -p "$folder/usr/share/postgresql"
    cp --recursive --dereference "/usr/share/postgresql/$postgres_major" "$folder/usr/share/postgresql/"
    rm -rf "$folder"/usr/share/postgresql/*/{locale,man}
    cp -a /usr/share/zoneinfo "$folder/usr/share/"
}

# jars NAME TO FOLDER: a folder of jars.
jars() {
    local folder
    folder=$(layer "$1")
    mkdir -p "$folder$2" && cp --preserve=timestamps "$3"/*.jar "$folder$2/"
}

# program NAME FILE: a program that was built here, without what only a debugger reads.
program() {
    local folder
    folder=$(layer "$1")
    mkdir -p "$folder/usr/bin"
    strip --strip-debug -o "$folder/usr/bin/$1" "$2"
    chmod 755 "$folder/usr/bin/$1"
    libraries "$folder" "$2"
}

{ read -r broker_jars; read -r connect_jars; read -r debezium_jars; } < "$JARS"
base
jre
postgres
jars broker /opt/kafka/libs "$broker_jars"
jars connect /opt/kafka/libs "$connect_jars"
jars debezium /opt/plugins/debezium-postgres "$debezium_jars"
mkdir -p "$(layer archive)/opt/kafka" && cp "$ARCHIVE" "$work/archive/opt/kafka/connect.jsa"
program datapipe-run "$DATAPIPE_RUN"
program bed "$BED"
mkdir -p "$(layer minio)/usr/bin" && cp "$MINIO" "$work/minio/usr/bin/minio"

for name in base jre postgres broker connect debezium archive datapipe-run bed minio; do
    tar --sort=name --owner=0 --group=0 --numeric-owner -C "$work/$name" -cf "$work/$name.tar" .
    rm -rf "${work:?}/$name"
done

environment='"Env": ["PATH=/usr/bin", "LANG=C.UTF-8"]'
config="{$environment}"
image() { # NAME LAYER...
    words+=("$1" "$config")
    for layer in "${@:2}"; do words+=("$work/$layer.tar"); done
}
words=()
image datapipe-connect:4.3.1-debezium-3.7.0 base jre connect debezium archive; words+=(--)
image apache/kafka:4.3.1 base jre broker; words+=(--)
# As its official image: by SIGTERM it would wait for its clients, which are the workers, and they stay.
config="{$environment, \"StopSignal\": \"SIGINT\"}" image "postgres:$postgres_major" base postgres; words+=(--)
image localhost/minio:2026-02-12 base minio; words+=(--)
image "$WORKER_IMAGE" base datapipe-run; words+=(--)
image localhost/bed:1 base postgres bed
python3 "$here/node/image.py" "$out.part" "${words[@]}" && mv "$out.part" "$out"
