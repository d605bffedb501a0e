"""Drives a worker by the package kafka-connect-py.

Arguments: the worker's URL, the name of a connector that runs, the name of one to make and delete.
"""

import sys
import time

from kafka_connect import KafkaConnect

url, name, other = sys.argv[1:]
client = KafkaConnect(url=url)


def expect(holds, what):
    if not holds:
        raise AssertionError(what)
    print("ok", what)


def until(connector, state):
    for _ in range(600):
        status = client.get_connector_status(connector)
        states = [status["connector"]["state"]] + [task["state"] for task in status["tasks"]]
        if set(states) == {state}:
            return print("ok", connector, "is", state)
        time.sleep(0.1)
    raise AssertionError(f"{connector} is {states}, not {state}")


expect(client.get_cluster_info()["version"].startswith("4."), "version")
expect(name in client.list_connectors(), "connectors")
expect(client.list_connectors(expand="status")[name]["status"]["name"] == name, "expanded status")
until(name, "RUNNING")
expect(name in client.list_connectors(expand="status", state="RUNNING"), "those that are RUNNING")
expect(client.get_connector(name)["type"] == "source", "definition")
config = client.get_connector_config(name)
expect(config["name"] == name, "configuration")
expect(len(client.list_connector_tasks(name)) == 1, "tasks")
expect(client.get_connector_task_status(name, 0)["state"] == "RUNNING", "task status")
expect(name in client.list_connector_topics(name), "topics")
client.reset_connector_topics(name)
plugins = [plugin["class"] for plugin in client.list_connector_plugins()]
expect(config["connector.class"] in plugins, "plugins")
validation = client.validate_connector_config("PostgresConnector", config)
expect(len(validation["configs"]) > 100, f"validation: {len(validation['configs'])} keys")
client.pause_connector(name)
until(name, "PAUSED")
client.resume_connector(name)
until(name, "RUNNING")
client.restart_connector_task(name, 0)
until(name, "RUNNING")
client.restart_connector(name, include_tasks=True)
until(name, "RUNNING")

made = {**config, "name": other, "slot.name": "made_by_python"}
client.create_connector({"name": other, "config": made})
expect(client.get_connector(other)["name"] == other, "create")
client.stop_connector(other)
expect(client.update_connector(other, {**made, "max.batch.size": "1024"}) is not False, "update")
expect(client.get_connector_config(other)["max.batch.size"] == "1024", "it is changed")
client.delete_connector(other)
expect(other not in client.list_connectors(), "it is gone")
