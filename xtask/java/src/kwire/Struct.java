package kwire;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Collection;
import org.apache.kafka.common.protocol.Message;

/** A struct of a schema, bound to its generated class. */
final class Struct {
    final Class<?> javaClass;
    private final Map<String, Field> fields = new LinkedHashMap<>();

    Struct(Class<?> javaClass) {
        this.javaClass = javaClass;
    }

    void add(Field field) {
        fields.put(field.name, field);
    }

    /** To be called once every field is there. */
    void learnDefaults() {
        Message fresh = create();
        for (Field field : fields()) field.learnDefault(fresh);
    }

    Collection<Field> fields() {
        return fields.values();
    }

    /** The field of that JSON name, or null. */
    Field field(String name) {
        return fields.get(name);
    }

    /** A fresh object, every field at its default. */
    Message create() {
        return (Message) Reflect.create(javaClass);
    }

    /** Whether this struct, or one inside it, has an ignorable field that the version lacks. */
    boolean hasIgnorableAbsentField(int version) {
        for (Field field : fields()) {
            if (!field.versions.contains(version)) {
                if (field.ignorable) return true;
            } else if (field.struct != null && field.struct.hasIgnorableAbsentField(version)) {
                return true;
            }
        }
        return false;
    }
}
