package kwire;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.OutputStreamWriter;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import org.apache.kafka.common.protocol.Message;

/**
 * A line server over Kafka's own codec: one JSON object a line in, one answer a line out, in the same order.
 *
 * <p>A question names {@code schema} and {@code version}, and has one of {@code hex} (bytes to decode),
 * {@code full} (the corpora's lossless form) or {@code json} (for Kafka's JsonConverter). An {@code id} is echoed.
 *
 * <p>The answer is {@code {"id", "ok": true, "hex", "json", "full", "remaining"}}: the value encoded (again),
 * printed by JsonConverter and losslessly, and how many bytes the decoder left over.
 * What Kafka refuses is {@code {"id", "ok": false, "at": "line|decode|build|encode|json", "error", "message"}}.
 */
public final class Oracle {
    private final SchemaLoader schemas;
    /** How far the current question got. */
    private String at;

    private Oracle(SchemaLoader schemas) {
        this.schemas = schemas;
    }

    public static void main(String[] arguments) throws IOException {
        // Nothing else may print among the answers.
        OutputStream stdout = System.out;
        System.setOut(System.err);
        Oracle oracle = new Oracle(SchemaLoader.load());
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8), 1 << 16);
        Writer out = new BufferedWriter(new OutputStreamWriter(stdout, StandardCharsets.UTF_8), 1 << 16);
        for (String line; (line = in.readLine()) != null; ) {
            if (line.isBlank()) continue;
            out.write(Json.print(oracle.answer(line)));
            out.write('\n');
            if (!in.ready()) out.flush();
        }
        out.flush();
    }

    private ObjectNode answer(String line) {
        ObjectNode answer = Json.object();
        at = "line";
        try {
            JsonNode question = Json.parse(line);
            if (question.has("id")) answer.set("id", question.get("id"));
            ObjectNode result = answerTo(question);
            return answer.put("ok", true).setAll(result);
        } catch (Exception | StackOverflowError | OutOfMemoryError e) {
            answer.put("ok", false).put("at", at);
            CorpusLine.putError(answer, e);
            return answer;
        }
    }

    private ObjectNode answerTo(JsonNode question) throws IOException {
        MessageSchema schema = schemas.messages.get(question.path("schema").asText());
        if (schema == null) throw new IllegalArgumentException("no schema " + question.path("schema"));
        JsonNode version = question.path("version");
        if (!version.isInt() || !schema.validVersions.contains(version.intValue())) {
            throw new IllegalArgumentException("version " + version + " of " + schema.name + " is not in " + schema.validVersions);
        }
        return answerTo(question, schema, version.shortValue());
    }

    private ObjectNode answerTo(JsonNode question, MessageSchema schema, short version) throws IOException {
        Message message;
        int remaining = 0;
        if (question.has("hex")) {
            byte[] bytes = Hex.parse(question.get("hex").asText());
            at = "decode";
            Wire.Decoded decoded = Wire.decode(schema, bytes, version);
            message = decoded.message();
            remaining = decoded.remaining();
        } else if (question.has("full")) {
            at = "build";
            message = Lossless.read(schema.root, question.get("full"));
        } else if (question.has("json")) {
            at = "build";
            message = schema.fromJavaJson(question.get("json"), version);
        } else {
            throw new IllegalArgumentException("none of hex, full and json is there");
        }
        ObjectNode result = Json.object();
        at = "encode";
        result.put("hex", Hex.of(Wire.encode(message, version)));
        at = "json";
        if (schema.hasJsonConverter()) result.set("json", schema.toJavaJson(message, version));
        result.set("full", Lossless.write(schema.root, message, version));
        return result.put("remaining", remaining);
    }
}
