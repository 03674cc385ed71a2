package kwire;

import com.fasterxml.jackson.databind.JsonNode;
import java.lang.reflect.Method;
import java.util.HashMap;
import java.util.Map;
import org.apache.kafka.common.protocol.Message;

/** A message of the release on the class path: its schema, bound to the class generated from it. */
final class MessageSchema {
    final String name;
    final String type;
    /** The API key, or the id of a metadata or coordinator record; null where there is none. */
    final Integer apiKey;
    final VersionRange validVersions;
    final VersionRange flexibleVersions;
    final Struct root;

    private final Method jsonWriter;
    private final Method jsonReader;

    MessageSchema(JsonNode schema, Class<?> javaClass) {
        name = schema.get("name").asText();
        type = schema.get("type").asText();
        apiKey = schema.has("apiKey") ? schema.get("apiKey").asInt() : null;
        validVersions = VersionRange.parse(Json.text(schema, "validVersions"), VersionRange.NONE);
        flexibleVersions = VersionRange.parse(Json.text(schema, "flexibleVersions"), VersionRange.NONE);
        root = new Binder(javaClass, schema.path("commonStructs")).bind(javaClass, schema.path("fields"));
        // 2.8's core jar has no converters.
        Class<?> converter = Reflect.firstClass(javaClass.getName() + "JsonConverter");
        jsonWriter = converter == null ? null : Reflect.method(converter, "write", 2);
        jsonReader = converter == null ? null : Reflect.method(converter, "read", 2);
    }

    boolean hasJsonConverter() {
        return jsonWriter != null;
    }

    /** What Kafka's own converter prints: without unknown tags, and with records as an empty string. */
    JsonNode toJavaJson(Message message, short version) {
        return (JsonNode) Reflect.invoke(jsonWriter, null, message, version);
    }

    /** What Kafka's own converter makes of JSON. */
    Message fromJavaJson(JsonNode json, short version) {
        if (jsonReader == null) throw new IllegalArgumentException("Kafka has no JSON converter for " + name);
        return (Message) Reflect.invoke(jsonReader, null, json, version);
    }

    /** Turns a schema's fields into structs bound to the message's class and the classes nested in it. */
    private static final class Binder implements Field.StructResolver {
        private final Class<?> messageClass;
        private final Map<String, JsonNode> commonStructs = new HashMap<>();
        private final Map<String, Struct> bound = new HashMap<>();

        Binder(Class<?> messageClass, JsonNode commonStructs) {
            this.messageClass = messageClass;
            for (JsonNode struct : commonStructs) this.commonStructs.put(struct.get("name").asText(), struct.get("fields"));
        }

        @Override
        public Struct resolve(String typeName, JsonNode inlineFields) {
            Struct known = bound.get(typeName);
            if (known != null) return known;
            JsonNode fields = commonStructs.getOrDefault(typeName, inlineFields);
            if (fields == null) throw new IllegalStateException(messageClass.getName() + ": no fields for struct " + typeName);
            Class<?> javaClass = Reflect.firstClass(messageClass.getName() + "$" + typeName);
            if (javaClass == null) throw new IllegalStateException(messageClass.getName() + ": no class for struct " + typeName);
            return bind(javaClass, fields);
        }

        Struct bind(Class<?> javaClass, JsonNode fields) {
            Struct struct = new Struct(javaClass);
            if (javaClass != messageClass) bound.put(javaClass.getSimpleName(), struct);
            for (JsonNode field : fields) struct.add(new Field(field, javaClass, this));
            struct.learnDefaults();
            return struct;
        }
    }
}
