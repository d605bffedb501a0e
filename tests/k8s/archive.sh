#!/usr/bin/env bash
# archive.sh OUT.jsa BROKER-JARS CONNECT-JARS DEBEZIUM-JARS: the archive of classes (AppCDS) for the JVM workers' image.
# A JVM takes an archive only for jars at the places and of the times that it was made with. So Kafka Connect runs once, in
# namespaces of its own, with the jars where the image has them, on a broker of its own, and writes the archive at its end.
set -euo pipefail
if [ -z "${INSIDE:-}" ]; then
    INSIDE=$(mktemp -d)
    trap 'rm -rf "$INSIDE"' EXIT
    export INSIDE
    unshare --net --mount --pid --fork --kill-child --mount-proc "$0" "$@" || { tail -n 20 "$INSIDE"/*.log >&2; exit 1; }
    mv "$INSIDE/connect.jsa" "$1"
    exit
fi

ip link set lo up
mount -t tmpfs tmpfs /opt
mkdir -p /opt/kafka/libs /opt/plugins/debezium-postgres
mount --bind "$3" /opt/kafka/libs
mount --bind "$4" /opt/plugins/debezium-postgres
cd "$INSIDE"
cat > broker.properties << P
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:9093
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$INSIDE/log
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
P
cat > worker.properties << P
bootstrap.servers=127.0.0.1:9092
group.id=archive
config.storage.topic=configs
offset.storage.topic=offsets
status.storage.topic=status
config.storage.replication.factor=1
offset.storage.replication.factor=1
status.storage.replication.factor=1
listeners=http://127.0.0.1:8083
plugin.path=/opt/plugins
plugin.discovery=service_load
exactly.once.source.support=enabled
key.converter=org.apache.kafka.connect.json.JsonConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
P
jars=$2
flags=(-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xmx256m)
broker() { java "${flags[@]}" -cp "$jars/*" "$@" >> broker.log 2>&1; }
broker kafka.tools.StorageTool format --cluster-id ZGF0YXBpcGUtdHJpYWwtMQ --config broker.properties
broker kafka.Kafka broker.properties &
java "${flags[@]}" -XX:ArchiveClassesAtExit=connect.jsa -cp '/opt/kafka/libs/*' \
    org.apache.kafka.connect.cli.ConnectDistributed worker.properties > worker.log 2>&1 &
worker=$!

ask() { curl -sf -m 60 -H 'Content-Type: application/json' "$@" > /dev/null; }
for _ in $(seq 240); do ask http://127.0.0.1:8083/health && break; sleep 0.5; done
# A connector that finds no server has loaded what one that does would load first.
ask -X PUT http://127.0.0.1:8083/connectors/archive/config -d '{
    "connector.class": "io.debezium.connector.postgresql.PostgresConnector", "database.hostname": "127.0.0.1", "database.port": "1",
    "database.user": "nobody", "database.password": "none", "database.dbname": "nothing", "topic.prefix": "archive"}' || true
kill -TERM "$worker"
wait "$worker" || true
[ -s connect.jsa ]
