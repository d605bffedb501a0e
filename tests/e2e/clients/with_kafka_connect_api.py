"""Drives a worker by the package kafka-connect-api.

Arguments: the worker's URL, the name of a connector that runs.
"""

import sys
import time

from kafka_connect_api.kafka_connect_api import Api, Cluster

url, name = sys.argv[1:]
cluster = Cluster(Api(url=url))


def expect(holds, what):
    if not holds:
        raise AssertionError(what)
    print("ok", what)


def until(connector, state):
    for _ in range(600):
        found = connector.state
        if found == state and all(task.state == state for task in connector.tasks):
            return print("ok", connector, "is", state)
        time.sleep(0.1)
    raise AssertionError(f"{connector} is {found}, not {state}")


expect(cluster.version.startswith("4."), "version")
expect(len(cluster.kafka_cluster) > 10, "Kafka's cluster id")
connector = cluster.connectors[name]
expect(connector.exists(), "connectors")
until(connector, "RUNNING")
config = connector.config
expect(config["name"] == name, "configuration")
expect(all(task.is_running() for task in connector.tasks), "tasks")
connector.config = {**config, "max.batch.size": "1024"}
expect(connector.config["max.batch.size"] == "1024", "update")
until(connector, "RUNNING")
connector.cycle_connector()
until(connector, "RUNNING")
connector.restart_all_tasks()
until(connector, "RUNNING")
expect("root" in cluster.loggers, "loggers")
