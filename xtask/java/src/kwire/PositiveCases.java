package kwire;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.util.Arrays;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.common.protocol.Message;

/** The corpus proper: values that Java writes, and the bytes that it writes for them. */
final class PositiveCases {
    /** How a case's value is made. */
    enum Kind { DEFAULT, MINIMAL, RANDOM, IGNORABLE }

    private final String kafka;
    private final long seed;
    private final int casesPerVersion;
    private final JsonLines corpus;
    private final JsonLines negative;
    /** Counts for the summary. */
    final Map<String, Integer> lines = new TreeMap<>();
    int unencodableDefaults;
    long wireBytes;

    PositiveCases(String kafka, long seed, int casesPerVersion, JsonLines corpus, JsonLines negative) {
        this.kafka = kafka;
        this.seed = seed;
        this.casesPerVersion = casesPerVersion;
        this.corpus = corpus;
        this.negative = negative;
    }

    /** Writes the lines of one version; gives the bytes of its last random case, or null. */
    byte[] capture(MessageSchema schema, short version) throws IOException {
        byte[] lastRandom = null;
        for (int number = 0; number < casesPerVersion; number++) {
            Kind kind = number == 0 ? Kind.DEFAULT : number == 1 ? Kind.MINIMAL : Kind.RANDOM;
            byte[] bytes = capture(schema, version, number, kind);
            if (kind == Kind.RANDOM) lastRandom = bytes;
        }
        if (schema.root.hasIgnorableAbsentField(version)) capture(schema, version, casesPerVersion, Kind.IGNORABLE);
        return lastRandom;
    }

    private byte[] capture(MessageSchema schema, short version, int number, Kind kind) throws IOException {
        Message message = make(schema, version, number, kind);
        ObjectNode line = CorpusLine.start(kafka, schema, version);
        line.put("case", number).put("kind", kind.name().toLowerCase(Locale.ROOT));
        byte[] bytes;
        try {
            bytes = Wire.encode(message, version);
        } catch (RuntimeException e) {
            if (kind != Kind.DEFAULT) throw new IllegalStateException(line + " does not encode", e);
            CorpusLine.putError(line, e);
            line.set("full", Lossless.write(schema.root, message, version));
            negative.add(line);
            unencodableDefaults++;
            return null;
        }
        Value value = describe(schema, message, version);
        checkRoundTrip(schema, message, version, bytes, value, kind);
        if (!schema.hasJsonConverter()) line.put("jsonBy", "oracle");
        line.set("json", value.json);
        line.put("hex", Hex.of(bytes));
        if (!value.jsonTellsAll()) line.set("full", value.full);
        if (value.unknownTags() > 0) line.put("unknownTags", value.unknownTags());
        corpus.add(line);
        lines.merge(kind.name().toLowerCase(Locale.ROOT), 1, Integer::sum);
        wireBytes += bytes.length;
        return bytes;
    }

    private Message make(MessageSchema schema, short version, int number, Kind kind) {
        MessageMaker maker = new MessageMaker(schema, version, new RandomValues(seed, schema.name, version, "case " + number));
        return switch (kind) {
            case DEFAULT -> schema.root.create();
            case MINIMAL -> maker.minimal(schema.root);
            case RANDOM -> maker.random(false);
            case IGNORABLE -> maker.random(true);
        };
    }

    /** A message in Java's JSON and in the lossless one, both as they look when read back from text. */
    private record Value(JsonNode json, JsonNode full) {
        boolean jsonTellsAll() {
            return json.equals(full);
        }

        /** How many structs hold unknown tags. */
        int unknownTags() {
            return countUnknownTags(full);
        }

        private static int countUnknownTags(JsonNode node) {
            int count = node.has(Lossless.UNKNOWN_TAGS) ? 1 : 0;
            for (JsonNode member : node) count += countUnknownTags(member);
            return count;
        }
    }

    private static Value describe(MessageSchema schema, Message message, short version) throws IOException {
        JsonNode full = reread(Lossless.write(schema.root, message, version));
        return new Value(schema.hasJsonConverter() ? reread(schema.toJavaJson(message, version)) : full, full);
    }

    private static JsonNode reread(JsonNode node) throws IOException {
        return Json.parse(Json.print(node));
    }

    /** What Java says of itself must hold before anybody else is judged by it. */
    private static void checkRoundTrip(MessageSchema schema, Message message, short version, byte[] bytes, Value value, Kind kind)
            throws IOException {
        Wire.Decoded decoded = Wire.decode(schema, bytes, version);
        String where = schema.name + " version " + version + " " + kind;
        require(decoded.remaining() == 0, where, "bytes left over");
        // An ignorable field that the version lacks is dropped, so only then may the value change.
        require(kind == Kind.IGNORABLE || decoded.message().equals(message), where, "another value after decoding");
        require(Arrays.equals(Wire.encode(decoded.message(), version), bytes), where, "other bytes when encoded again");
        require(Lossless.read(schema.root, value.full).equals(message), where, "the lossless form loses something");
        // A tagged struct that differs from its default by unknown tags alone has no trace in Java's JSON.
        if (schema.hasJsonConverter() && value.unknownTags() == 0) {
            JsonNode printed = schema.toJavaJson(message, version);
            JsonNode again = schema.toJavaJson(schema.fromJavaJson(printed, version), version);
            require(printed.toString().equals(again.toString()), where, "Java's JSON reader and writer disagree");
        }
    }

    private static void require(boolean holds, String where, String complaint) {
        if (!holds) throw new IllegalStateException(where + ": " + complaint);
    }
}
