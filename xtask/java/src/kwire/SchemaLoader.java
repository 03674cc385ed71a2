package kwire;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;
import java.util.regex.Pattern;
import org.apache.kafka.common.protocol.Message;

/**
 * Finds every message of the release on the class path.
 * The schemas lie in the same jars as the classes generated from them, so the two always agree.
 */
final class SchemaLoader {
    private static final Pattern SCHEMA = Pattern.compile("(common/)?(message|metadata)/[A-Za-z0-9]+\\.json");
    private static final Pattern TOP_LEVEL_CLASS = Pattern.compile("(.*/)?([^/$]+)\\.class");

    /** By name, in the order of names. */
    final TreeMap<String, MessageSchema> messages = new TreeMap<>();
    /** Names of messages whose versions are all retired: they have no class any more. */
    final List<String> retired = new ArrayList<>();
    int schemas;

    static SchemaLoader load() throws IOException {
        SchemaLoader loader = new SchemaLoader();
        for (String entry : System.getProperty("java.class.path").split(File.pathSeparator)) {
            File file = new File(entry);
            if (file.getName().endsWith(".jar") && file.getName().contains("kafka")) loader.readJar(file);
        }
        if (loader.messages.isEmpty()) throw new IllegalStateException("no Kafka jar with schemas on the class path");
        return loader;
    }

    private void readJar(File file) throws IOException {
        try (JarFile jar = new JarFile(file)) {
            List<JarEntry> schemaEntries = new ArrayList<>();
            Map<String, List<String>> classesByName = new HashMap<>();
            jar.stream().forEach(entry -> {
                if (SCHEMA.matcher(entry.getName()).matches()) schemaEntries.add(entry);
                var match = TOP_LEVEL_CLASS.matcher(entry.getName());
                if (match.matches()) classesByName.computeIfAbsent(match.group(2), name -> new ArrayList<>()).add(entry.getName());
            });
            for (JarEntry entry : schemaEntries) {
                try (InputStream in = jar.getInputStream(entry)) {
                    add(Json.parseSchema(in), classesByName, file.getName());
                }
            }
        }
    }

    private void add(JsonNode schema, Map<String, List<String>> classesByName, String jar) {
        schemas++;
        String name = schema.get("name").asText();
        if (VersionRange.parse(Json.text(schema, "validVersions"), VersionRange.NONE).isEmpty()) {
            retired.add(name);
            return;
        }
        Class<?> javaClass = generatedClass(className(schema), classesByName);
        if (javaClass == null) throw new IllegalStateException(jar + " has no class for its schema " + name);
        if (messages.put(name, new MessageSchema(schema, javaClass)) != null) {
            throw new IllegalStateException("two schemas are called " + name);
        }
    }

    /** The generator adds "Data" to requests, responses and headers only. */
    private static String className(JsonNode schema) {
        return switch (schema.get("type").asText()) {
            case "request", "response", "header" -> schema.get("name").asText() + "Data";
            default -> schema.get("name").asText();
        };
    }

    private static Class<?> generatedClass(String simpleName, Map<String, List<String>> classesByName) {
        for (String entry : classesByName.getOrDefault(simpleName, List.of())) {
            String className = entry.substring(0, entry.length() - ".class".length()).replace('/', '.');
            Class<?> candidate = Reflect.firstClass(className);
            if (candidate != null && Message.class.isAssignableFrom(candidate)) return candidate;
        }
        return null;
    }
}
