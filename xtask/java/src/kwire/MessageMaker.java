package kwire;

import java.util.Collection;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.types.RawTaggedField;

/** Makes messages of one version: smallest, random, or random with fields that only other versions have. */
final class MessageMaker {
    /** Unknown tags start here: no release gives such a tag a meaning. */
    private static final int FIRST_UNKNOWN_TAG = 20;
    private static final int DEEP = 2;

    private final MessageSchema schema;
    private final short version;
    private final RandomValues random;

    MessageMaker(MessageSchema schema, short version, RandomValues random) {
        this.schema = schema;
        this.version = version;
        this.random = random;
    }

    /** Null where the version allows it, else empty, else the default. */
    Message minimal(Struct struct) {
        Message message = struct.create();
        for (Field field : struct.fields()) {
            if (!field.versions.contains(version)) continue;
            if (field.nullable.contains(version)) field.set(message, null);
            else if (field.isArray) field.set(message, field.newCollection());
            else if (field.type == FieldType.STRUCT) field.set(message, minimal(field.struct));
            else if (field.type == FieldType.RECORDS) field.set(message, RecordsField.wrap(new byte[0]));
        }
        return message;
    }

    Message random(boolean withIgnorableAbsentFields) {
        return random(schema.root, withIgnorableAbsentFields, 0);
    }

    private Message random(Struct struct, boolean withIgnorableAbsentFields, int depth) {
        Message message = struct.create();
        for (Field field : struct.fields()) {
            if (!field.versions.contains(version)) {
                if (withIgnorableAbsentFields && field.ignorable) setNonDefault(message, field);
            } else if (field.nullable.contains(version) && random.oneIn(4)) {
                field.set(message, null);
            } else if (field.mustBeSet(version) || !random.oneIn(field.tagged.contains(version) ? 3 : 12)) {
                field.set(message, randomValue(field, withIgnorableAbsentFields, depth));
            }
        }
        if (schema.flexibleVersions.contains(version) && random.oneIn(3)) addUnknownTags(message);
        return message;
    }

    private Object randomValue(Field field, boolean withIgnorableAbsentFields, int depth) {
        if (!field.isArray) return randomElement(field, withIgnorableAbsentFields, depth);
        boolean fixedWidth = !field.type.isReference();
        int length = fixedWidth && random.oneIn(24) ? random.between(126, 131) : random.between(0, depth < DEEP ? 3 : 2);
        Collection<Object> out = field.newCollection();
        for (int i = 0; i < length; i++) out.add(randomElement(field, withIgnorableAbsentFields, depth));
        return out;
    }

    private Object randomElement(Field field, boolean withIgnorableAbsentFields, int depth) {
        if (field.type == FieldType.STRUCT) return random(field.struct, withIgnorableAbsentFields, depth + 1);
        return random.value(field.type);
    }

    /** One or two, in ascending order, with steps that make the tag's varint one to five bytes long. */
    private void addUnknownTags(Message message) {
        int tag = FIRST_UNKNOWN_TAG - 1;
        for (int i = random.between(1, 2); i > 0; i--) {
            tag += switch (random.between(0, 4)) {
                case 0 -> 1;
                case 1 -> random.between(1, 10);
                case 2 -> random.between(100, 199);
                case 3 -> random.between(20_000, 20_999);
                default -> 1 << 28;
            };
            message.unknownTaggedFields().add(new RawTaggedField(tag, random.bytes()));
        }
    }

    /** Sets a field that the version lacks to something that would have to be written. */
    void setNonDefault(Message message, Field field) {
        for (int attempt = 0; attempt < 100; attempt++) {
            field.set(message, candidate(field));
            if (!field.holdsDefault(message)) return;
        }
        throw new IllegalStateException("found no value but the default for " + field.name);
    }

    private Object candidate(Field field) {
        if (field.isArray) {
            Collection<Object> out = field.newCollection();
            out.add(field.type == FieldType.STRUCT ? field.struct.create() : random.value(field.type));
            return out;
        }
        if (field.type != FieldType.STRUCT) return random.value(field.type);
        Message nested = field.struct.create();
        if (!field.isDefault(nested)) return nested;
        for (Field inner : field.struct.fields()) {
            if (inner.isArray || inner.type == FieldType.STRUCT) continue;
            setNonDefault(nested, inner);
            break;
        }
        return nested;
    }
}
