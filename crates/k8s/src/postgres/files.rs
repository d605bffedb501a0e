//! The server's configuration and programs, as files of its ConfigMap.

use datapipe_core::plan::Plan;

use super::{CONFIG_FOLDER, SECRETS_FOLDER, SOCKET_FOLDER};
use crate::checks::{MAX_WAL_BYTES, WAL_KEEP_BYTES};
use crate::options::PostgresOptions;

/// Debian's packages keep the programs out of the path.
const PROGRAMS: &str = "PATH=\"$PATH:$(echo /usr/lib/postgresql/*/bin | tr ' ' ':')\"\nexport PATH\n";

/// What all walsenders may hold of open transactions before it goes to disk. Each slot decodes every transaction, and
/// PostgreSQL's 64 MB for each of them would be the server's whole memory: a large transaction in one table would have the
/// kernel kill the server, and stop all tables.
const DECODING_MIB: u32 = 128;

/// The same file serves the init's server: with fewer slots than there are it would not start.
pub(super) fn configuration(options: &PostgresOptions) -> String {
    let PostgresOptions { slots, .. } = options;
    let decoding = (DECODING_MIB / slots).max(1);
    let mib = |bytes: u64| bytes >> 20;
    let (slot_wal, keep, most) = (mib(options.slot_wal_bytes), mib(WAL_KEEP_BYTES) >> 10, mib(MAX_WAL_BYTES));
    format!(
        "listen_addresses = '*'\n\
         unix_socket_directories = '{SOCKET_FOLDER}'\n\
         hba_file = '{CONFIG_FOLDER}/pg_hba.conf'\n\
         password_encryption = 'scram-sha-256'\n\
         \n\
         # Each table's pipeline has a slot and a walsender of its own; a move to another worker takes a second one.\n\
         wal_level = logical\n\
         max_replication_slots = {slots}\n\
         max_wal_senders = {slots}\n\
         wal_keep_size = {keep}GB\n\
         max_wal_size = {most}MB\n\
         # wal_keep_size does not bound what a slot holds back. Without this bound the slot of one stopped table would fill\n\
         # the volume, and stop all of them; beyond it that one slot is lost, and its table is read anew.\n\
         max_slot_wal_keep_size = {slot_wal}MB\n\
         wal_sender_timeout = 60s\n\
         # Each walsender decodes every transaction, and beyond this much of it on disk: all of them fit into the pod's memory.\n\
         logical_decoding_work_mem = {decoding}MB\n\
         \n\
         shared_buffers = 128MB\n\
         log_destination = 'stderr'\n\
         log_line_prefix = '%m [%p] %q%u@%d '\n"
    )
}

/// The role of the pipelines may open its database, with logical replication, and nothing else: a copy of the whole server
/// (`replication` as database) is refused to it.
pub(super) fn access(plan: &Plan) -> String {
    let name = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let (user, database) = (name(&plan.postgres.user), name(&plan.postgres.database));
    format!(
        "# type  database  user  address  method\n\
         local   all         all               scram-sha-256\n\
         host    {database}  {user}  all       scram-sha-256\n\
         host    all         {user}  all       reject\n\
         host    replication {user}  all       reject\n\
         host    all         all     all       scram-sha-256\n"
    )
}

/// Makes the cluster once; role, rights and publications each time, so that they follow the settings.
pub(super) fn init() -> String {
    format!(
        "set -eu\n\
         {PROGRAMS}\
         umask 077\n\
         if [ ! -s \"$PGDATA/PG_VERSION\" ]; then\n\
         \u{20}   initdb --pgdata=\"$PGDATA\" --username=postgres --encoding=UTF8 --locale=C.UTF-8 --data-checksums \\\n\
         \u{20}       --auth=scram-sha-256 --pwfile={SECRETS_FOLDER}/superuser\n\
         fi\n\
         # A volume's owner may have been set for the group too, and the server refuses that.\n\
         chmod 700 \"$PGDATA\"\n\
         # Nobody gets in before the role has its rights.\n\
         pg_ctl --pgdata=\"$PGDATA\" --wait --timeout=600 --log=/tmp/init.log \\\n\
         \u{20}   --options=\"-c config_file={CONFIG_FOLDER}/postgresql.conf -c listen_addresses=''\" start \\\n\
         \u{20}   || {{ cat /tmp/init.log; exit 1; }}\n\
         PGPASSWORD=$(cat {SECRETS_FOLDER}/superuser)\n\
         export PGPASSWORD\n\
         status=0\n\
         psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --host={SOCKET_FOLDER} --username=postgres --dbname=postgres \\\n\
         \u{20}   --file={CONFIG_FOLDER}/init.sql || status=$?\n\
         pg_ctl --pgdata=\"$PGDATA\" --wait --mode=fast stop\n\
         exit $status\n"
    )
}

pub(super) fn start() -> String {
    format!("set -eu\n{PROGRAMS}exec postgres -D \"$PGDATA\" -c config_file={CONFIG_FOLDER}/postgresql.conf\n")
}

pub(super) fn ready() -> String {
    format!("{PROGRAMS}exec pg_isready --quiet --host=127.0.0.1\n")
}
