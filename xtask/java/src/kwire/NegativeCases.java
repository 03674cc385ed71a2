package kwire;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.types.RawTaggedField;

/** The negative corpus: values that must not be written, and bytes that must not be read. */
final class NegativeCases {
    private final String kafka;
    private final long seed;
    private final JsonLines out;
    /** Counts for the summary. What Java took all the same is counted as accepted, and has no error in its line. */
    final Map<String, Integer> lines = new TreeMap<>();
    int accepted;

    NegativeCases(String kafka, long seed, JsonLines out) {
        this.kafka = kafka;
        this.seed = seed;
        this.out = out;
    }

    /** Writes the lines of one version; {@code bytes} are of a message of that version, or null. */
    void capture(MessageSchema schema, short version, byte[] bytes) throws IOException {
        RandomValues random = new RandomValues(seed, schema.name, version, "negative");
        MessageMaker maker = new MessageMaker(schema, version, random);
        spoilFields(schema, version, maker, schema.root, List.of());
        if (!schema.flexibleVersions.contains(version)) {
            Message message = maker.minimal(schema.root);
            message.unknownTaggedFields().add(new RawTaggedField(100, new byte[] {1, 2}));
            addValue(schema, version, message, "/" + Lossless.UNKNOWN_TAGS, "unknown-tag");
        }
        if (bytes != null && bytes.length > 0) addTruncated(schema, version, bytes, bytes.length - 1);
        if (bytes != null && bytes.length > 2) addTruncated(schema, version, bytes, random.between(1, bytes.length - 2));
    }

    /** Each field in turn, of every struct that the version has, in an otherwise minimal message. */
    private void spoilFields(MessageSchema schema, short version, MessageMaker maker, Struct struct, List<Field> path)
            throws IOException {
        for (Field field : struct.fields()) {
            boolean present = field.versions.contains(version);
            if (!present && !field.ignorable) {
                Spot spot = new Spot(schema.root, path, maker);
                maker.setNonDefault(spot.holder, field);
                addValue(schema, version, spot.top, spot.pointer + "/" + field.name, "unsupported-field");
            } else if (present && field.canHoldNull() && !field.nullable.contains(version)) {
                Spot spot = new Spot(schema.root, path, maker);
                field.set(spot.holder, null);
                addValue(schema, version, spot.top, spot.pointer + "/" + field.name, "null");
            }
            if (present && field.struct != null && !path.contains(field)) {
                List<Field> deeper = new ArrayList<>(path);
                deeper.add(field);
                spoilFields(schema, version, maker, field.struct, deeper);
            }
        }
    }

    /** A minimal message that has a struct at the end of a path of fields; arrays on the way get one element. */
    private static final class Spot {
        final Message top;
        final Message holder;
        final String pointer;

        Spot(Struct root, List<Field> path, MessageMaker maker) {
            top = maker.minimal(root);
            Message current = top;
            StringBuilder pointer = new StringBuilder();
            for (Field field : path) {
                Message nested = maker.minimal(field.struct);
                pointer.append('/').append(field.name);
                if (field.isArray) {
                    Collection<Object> elements = field.newCollection();
                    elements.add(nested);
                    field.set(current, elements);
                    pointer.append("/0");
                } else {
                    field.set(current, nested);
                }
                current = nested;
            }
            holder = current;
            this.pointer = pointer.toString();
        }
    }

    private void addValue(MessageSchema schema, short version, Message message, String pointer, String kind) throws IOException {
        ObjectNode line = CorpusLine.start(kafka, schema, version);
        line.put("kind", kind).put("field", pointer);
        try {
            line.put("hex", Hex.of(Wire.encode(message, version)));
        } catch (RuntimeException e) {
            CorpusLine.putError(line, e);
        }
        line.set("full", Lossless.write(schema.root, message, version));
        add(line, kind, line.has("error"));
    }

    private void addTruncated(MessageSchema schema, short version, byte[] bytes, int length) throws IOException {
        byte[] prefix = Arrays.copyOf(bytes, length);
        ObjectNode line = CorpusLine.start(kafka, schema, version);
        line.put("kind", "truncated");
        try {
            Wire.decode(schema, prefix, version);
        } catch (RuntimeException e) {
            line.put("decodeError", CorpusLine.errorName(e));
        }
        line.put("hex", Hex.of(prefix));
        add(line, "truncated", line.has("decodeError"));
    }

    private void add(ObjectNode line, String kind, boolean refused) throws IOException {
        out.add(line);
        lines.merge(kind, 1, Integer::sum);
        if (!refused) accepted++;
    }
}
