package kwire;

import java.lang.reflect.Method;
import java.nio.ByteBuffer;

/** Bytes in and out of fields of type records. Their class has moved between releases, so it is reached by name. */
final class RecordsField {
    private static final Class<?> MEMORY_RECORDS = Reflect.firstClass(
            "org.apache.kafka.common.record.internal.MemoryRecords",
            "org.apache.kafka.common.record.MemoryRecords");
    private static final Method WRAP = Reflect.method(MEMORY_RECORDS, "readableRecords", 1);
    private static final Method BUFFER = Reflect.method(MEMORY_RECORDS, "buffer", 0);

    private RecordsField() {}

    static Object wrap(byte[] bytes) {
        return Reflect.invoke(WRAP, null, ByteBuffer.wrap(bytes));
    }

    static ByteBuffer buffer(Object records) {
        return (ByteBuffer) Reflect.invoke(BUFFER, records);
    }
}
