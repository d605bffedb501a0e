// Drives a worker by the client library org.sourcelab:kafka-connect-client, each call once.
//
// Arguments: the worker's URL, the name of a connector that runs, the name of one to make and delete.

import java.util.Map;
import java.util.TreeMap;
import org.sourcelab.kafka.connect.apiclient.Configuration;
import org.sourcelab.kafka.connect.apiclient.KafkaConnectClient;
import org.sourcelab.kafka.connect.apiclient.request.dto.ConnectorPluginConfigDefinition;
import org.sourcelab.kafka.connect.apiclient.request.dto.NewConnectorDefinition;

class SourcelabClient {
    static KafkaConnectClient client;

    static void expect(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
        System.out.println("ok " + what);
    }

    static void until(String connector, String state) throws InterruptedException {
        String found = "";
        for (int attempt = 0; attempt < 600; attempt++) {
            var status = client.getConnectorStatus(connector);
            found = status.getConnector().get("state");
            boolean tasks = status.getTasks().stream().allMatch(task -> task.getState().equals(state));
            if (found.equals(state) && tasks) {
                System.out.println("ok " + connector + " is " + state);
                return;
            }
            Thread.sleep(100);
        }
        throw new AssertionError(connector + " is " + found + ", not " + state);
    }

    public static void main(String[] arguments) throws Exception {
        String name = arguments[1];
        String other = arguments[2];
        client = new KafkaConnectClient(new Configuration(arguments[0]));
        expect(client.getConnectServerVersion().getVersion().startsWith("4."), "version");
        expect(client.getConnectors().contains(name), "connectors");
        expect(client.getConnectorsWithExpandedStatus().getStatusForConnector(name) != null, "expanded status");
        expect(client.getConnectorsWithExpandedInfo().getDefinitionForConnector(name) != null, "expanded info");
        expect(!client.getConnectorsWithAllExpandedMetadata().getAllDefinitions().isEmpty(), "expanded metadata");
        expect(client.getConnector(name).getType().equals("source"), "definition");
        Map<String, String> config = new TreeMap<>(client.getConnectorConfig(name));
        expect(config.get("name").equals(name), "configuration");
        until(name, "RUNNING");
        expect(client.getConnectorTasks(name).size() == 1, "tasks");
        expect(client.getConnectorTaskStatus(name, 0).getState().equals("RUNNING"), "task status");
        expect(client.getConnectorTopics(name) != null, "topics");
        expect(client.resetConnectorTopics(name), "topics reset");
        expect(client.getConnectorPlugins().stream().anyMatch(p -> p.getClassName().equals(config.get("connector.class"))), "plugins");
        var validation = client.validateConnectorPluginConfig(
            ConnectorPluginConfigDefinition.newBuilder().withName("PostgresConnector").withConfig(config).build());
        expect(validation.getConfigs().size() > 100, "validation: " + validation.getConfigs().size() + " keys");
        expect(client.pauseConnector(name), "pause");
        until(name, "PAUSED");
        expect(client.resumeConnector(name), "resume");
        until(name, "RUNNING");
        expect(client.restartConnectorTask(name, 0), "task restart");
        until(name, "RUNNING");
        expect(client.restartConnector(name), "restart");
        until(name, "RUNNING");

        config.remove("name");
        config.put("slot.name", "made_by_java");
        expect(client.addConnector(new NewConnectorDefinition(other, config)).getName().equals(other), "create");
        config.put("max.batch.size", "1024");
        expect(client.updateConnectorConfig(other, config).getConfig().get("max.batch.size").equals("1024"), "update");
        expect(client.deleteConnector(other), "delete");
        expect(!client.getConnectors().contains(other), "it is gone");
    }
}
