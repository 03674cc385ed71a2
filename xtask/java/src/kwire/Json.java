package kwire;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.InputStream;

/** Reading and writing JSON text. */
final class Json {
    static final JsonNodeFactory NODES = JsonNodeFactory.instance;

    private static final ObjectMapper STRICT = new ObjectMapper();
    private static final ObjectMapper LENIENT = new ObjectMapper();

    static {
        LENIENT.configure(JsonParser.Feature.ALLOW_COMMENTS, true);
    }

    private Json() {}

    static ObjectNode object() {
        return NODES.objectNode();
    }

    static JsonNode parse(String text) throws JsonProcessingException {
        return STRICT.readTree(text);
    }

    static String print(JsonNode node) throws JsonProcessingException {
        return STRICT.writeValueAsString(node);
    }

    /** Reads a schema: with comments, and with whatever stands behind the first value (2.8.2 has one such) left alone. */
    static JsonNode parseSchema(InputStream in) throws IOException {
        try (JsonParser parser = LENIENT.getFactory().createParser(in)) {
            return LENIENT.readTree(parser);
        }
    }

    /** A member as text, be it quoted or not; null where it is missing or null. */
    static String text(JsonNode node, String member) {
        return node.hasNonNull(member) ? node.get(member).asText() : null;
    }
}
