package kwire;

import com.fasterxml.jackson.databind.JsonNode;
import java.lang.reflect.Method;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Objects;

/** One field of a struct: what the schema says of it, bound to the accessors of the generated class. */
final class Field {
    /** The name in Java's JSON, which is also the getter's: only the first letter is lowered. */
    final String name;
    final FieldType type;
    final boolean isArray;
    final VersionRange versions;
    final VersionRange nullable;
    final VersionRange tagged;
    final boolean ignorable;
    /** The tag, or -1. */
    final int tag;
    /** The struct that the field or its elements hold; null for every other type. */
    final Struct struct;

    private final Method getter;
    private final Method setter;
    private Object defaultValue;

    Field(JsonNode schema, Class<?> owner, StructResolver structs) {
        String schemaName = schema.get("name").asText();
        String typeName = schema.get("type").asText().strip();
        name = Character.toLowerCase(schemaName.charAt(0)) + schemaName.substring(1);
        isArray = typeName.startsWith("[]");
        String element = isArray ? typeName.substring(2) : typeName;
        type = FieldType.named(element);
        tagged = VersionRange.parse(Json.text(schema, "taggedVersions"), VersionRange.NONE);
        versions = VersionRange.parse(Json.text(schema, "versions"), tagged);
        nullable = VersionRange.parse(Json.text(schema, "nullableVersions"), VersionRange.NONE);
        ignorable = schema.path("ignorable").asBoolean();
        tag = schema.path("tag").asInt(-1);
        struct = type == FieldType.STRUCT ? structs.resolve(element, schema.get("fields")) : null;
        getter = Reflect.method(owner, name, 0);
        setter = Reflect.method(owner, "set" + Character.toUpperCase(schemaName.charAt(0)) + schemaName.substring(1), 1);
    }

    /** Remembers the value of a fresh object as the default. */
    void learnDefault(Object fresh) {
        defaultValue = get(fresh);
    }

    Object get(Object holder) {
        return Reflect.invoke(getter, holder);
    }

    void set(Object holder, Object value) {
        Class<?> wanted = setter.getParameterTypes()[0];
        if (value instanceof byte[] bytes && wanted == ByteBuffer.class) value = ByteBuffer.wrap(bytes);
        Reflect.invoke(setter, holder, value);
    }

    /** An empty collection of the class that the setter wants: a plain list, or a map-like one of its own. */
    @SuppressWarnings("unchecked")
    Collection<Object> newCollection() {
        Class<?> wanted = setter.getParameterTypes()[0];
        return wanted.isInterface() ? new ArrayList<>() : (Collection<Object>) Reflect.create(wanted);
    }

    boolean holdsDefault(Object holder) {
        return isDefault(get(holder));
    }

    boolean isDefault(Object value) {
        if (value instanceof byte[] bytes) return defaultValue instanceof byte[] other && Arrays.equals(bytes, other);
        return Objects.equals(value, defaultValue);
    }

    boolean canHoldNull() {
        return isArray || type.isReference();
    }

    /** Whether the default is a null that this version cannot carry, so that some value must be set. */
    boolean mustBeSet(int version) {
        return canHoldNull() && defaultValue == null && !nullable.contains(version);
    }

    /** Whether this version always writes the field, default or not. */
    boolean isAlwaysWritten(int version) {
        return versions.contains(version) && !tagged.contains(version);
    }

    /** Finds the struct behind a type name; {@code inlineFields} are those that the field itself lists, or null. */
    interface StructResolver {
        Struct resolve(String typeName, JsonNode inlineFields);
    }
}
