package kwire;

import com.fasterxml.jackson.databind.node.ObjectNode;

/** What the lines of both corpora have in common. */
final class CorpusLine {
    private CorpusLine() {}

    static ObjectNode start(String kafka, MessageSchema schema, short version) {
        ObjectNode line = Json.object();
        line.put("kafka", kafka).put("schema", schema.name).put("type", schema.type);
        if (schema.apiKey != null) line.put("apiKey", schema.apiKey);
        return line.put("version", version);
    }

    /** The exception's class, less package and the word Exception. */
    static String errorName(Throwable error) {
        String name = error.getClass().getSimpleName();
        return name.endsWith("Exception") ? name.substring(0, name.length() - "Exception".length()) : name;
    }

    /** Adds the error and, where Java has one, its message. */
    static void putError(ObjectNode line, Throwable error) {
        line.put("error", errorName(error));
        if (error.getMessage() != null) line.put("message", error.getMessage());
    }
}
