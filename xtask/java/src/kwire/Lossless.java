package kwire;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Collection;
import java.util.Iterator;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.types.RawTaggedField;

/**
 * The corpora's "full" form: Java's JSON conventions, but nothing is lost.
 * Records are base64, unknown tags are {@code "_unknownTaggedFields": [[tag, hex], ...]},
 * and fields that the version lacks appear when they do not hold their default.
 */
final class Lossless {
    static final String UNKNOWN_TAGS = "_unknownTaggedFields";

    private Lossless() {}

    static ObjectNode write(Struct struct, Message message, int version) {
        ObjectNode out = Json.object();
        for (Field field : struct.fields()) {
            Object value = field.get(message);
            if (field.isAlwaysWritten(version) || !field.isDefault(value)) out.set(field.name, writeField(field, value, version));
        }
        if (!message.unknownTaggedFields().isEmpty()) {
            ArrayNode tags = out.putArray(UNKNOWN_TAGS);
            for (RawTaggedField tag : message.unknownTaggedFields()) tags.addArray().add(tag.tag()).add(Hex.of(tag.data()));
        }
        return out;
    }

    private static JsonNode writeField(Field field, Object value, int version) {
        if (value == null) return Json.NODES.nullNode();
        if (!field.isArray) return writeOne(field, value, version);
        ArrayNode out = Json.NODES.arrayNode();
        for (Object element : (Collection<?>) value) out.add(writeOne(field, element, version));
        return out;
    }

    private static JsonNode writeOne(Field field, Object value, int version) {
        return switch (field.type) {
            case STRUCT -> write(field.struct, (Message) value, version);
            case BOOL -> Json.NODES.booleanNode((Boolean) value);
            case FLOAT64 -> Json.NODES.numberNode((Double) value);
            case STRING, UUID -> Json.NODES.textNode(value.toString());
            case BYTES -> Json.NODES.binaryNode(value instanceof ByteBuffer buffer ? copy(buffer) : (byte[]) value);
            case RECORDS -> Json.NODES.binaryNode(copy(RecordsField.buffer(value)));
            default -> Json.NODES.numberNode(((Number) value).longValue());
        };
    }

    private static byte[] copy(ByteBuffer buffer) {
        byte[] bytes = new byte[buffer.remaining()];
        buffer.duplicate().get(bytes);
        return bytes;
    }

    /** Builds the message by its setters. A name that the struct lacks, or a value of another type, is an error. */
    static Message read(Struct struct, JsonNode json) throws IOException {
        if (!json.isObject()) throw new IllegalArgumentException("an object was expected, not " + json);
        Message message = struct.create();
        for (Iterator<String> names = json.fieldNames(); names.hasNext(); ) {
            String name = names.next();
            JsonNode value = json.get(name);
            if (name.equals(UNKNOWN_TAGS)) {
                for (JsonNode tag : value) {
                    message.unknownTaggedFields().add(new RawTaggedField(tag.get(0).intValue(), Hex.parse(tag.get(1).asText())));
                }
                continue;
            }
            Field field = struct.field(name);
            if (field == null) throw new IllegalArgumentException(struct.javaClass.getSimpleName() + " has no field " + name);
            field.set(message, readField(field, value));
        }
        return message;
    }

    private static Object readField(Field field, JsonNode json) throws IOException {
        if (json.isNull()) {
            if (!field.canHoldNull()) throw mismatch(field, json);
            return null;
        }
        if (!field.isArray) return readOne(field, json);
        if (!json.isArray()) throw mismatch(field, json);
        Collection<Object> out = field.newCollection();
        for (JsonNode element : json) out.add(readOne(field, element));
        return out;
    }

    private static Object readOne(Field field, JsonNode json) throws IOException {
        if (field.type == FieldType.STRUCT) return read(field.struct, json);
        if (field.type.isInteger()) return boxed(field, json);
        switch (field.type) {
            case BOOL:
                if (json.isBoolean()) return json.booleanValue();
                break;
            case FLOAT64:
                if (json.isNumber()) return json.doubleValue();
                // Jackson prints these as text, since JSON has no such numbers.
                if (json.isTextual()) return Double.valueOf(json.textValue());
                break;
            default:
                if (!json.isTextual()) break;
                return switch (field.type) {
                    case UUID -> Uuid.fromString(json.textValue());
                    case BYTES -> json.binaryValue();
                    case RECORDS -> RecordsField.wrap(json.binaryValue());
                    default -> json.textValue();
                };
        }
        throw mismatch(field, json);
    }

    private static Number boxed(Field field, JsonNode json) {
        if (!json.canConvertToLong() || !json.isIntegralNumber()) throw mismatch(field, json);
        long value = json.longValue();
        Number boxed = Numbers.box(field.type, value);
        // What the Java type can hold but the field cannot, an unsigned one, is left to Kafka's setter to refuse.
        if (boxed.longValue() != value) throw mismatch(field, json);
        return boxed;
    }

    private static IllegalArgumentException mismatch(Field field, JsonNode json) {
        return new IllegalArgumentException("field " + field.name + " of type " + field.type + " cannot hold " + json);
    }
}
