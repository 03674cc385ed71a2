package kwire;

import java.io.IOException;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.function.BiFunction;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageSizeAccumulator;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.protocol.Readable;

/**
 * Times Kafka's own classes on one message that the Rust program has written.
 *
 * <p>Usage: {@code Codec DIR MILLISECONDS CASE}. DIR holds cases.tsv and a file of bytes for each case. One process
 * times one case, so that what the JIT compiler has learnt from another case slows nothing down. A line is printed
 * for each figure: time, case, operation, contestant, nanoseconds.
 */
public final class Codec {
    public static void main(String[] arguments) throws Throwable {
        Path dir = Path.of(arguments[0]);
        String id = arguments[2];
        Timing timing = new Timing(id, Long.parseLong(arguments[1]));
        String[] row = row(dir, id);
        short version = Short.parseShort(row[2]);
        byte[] frame = Files.readAllBytes(dir.resolve(id + ".bin"));
        BiFunction<Readable, Short, Message> constructor = constructor(row[1]);

        Message value = constructor.apply(new ByteBufferAccessor(ByteBuffer.wrap(frame)), version);
        ByteBuffer out = ByteBuffer.allocate(frame.length);
        encode(value, version, out);
        if (!Arrays.equals(out.array(), frame) || out.hasRemaining()) {
            throw new IllegalStateException(row[1] + ": the bytes differ");
        }

        timing.report("encode", () -> {
            out.clear();
            encode(value, version, out);
            return out;
        });
        timing.report("encode-fresh", () -> {
            ObjectSerializationCache cache = new ObjectSerializationCache();
            MessageSizeAccumulator size = new MessageSizeAccumulator();
            value.addSize(size, cache, version);
            ByteBuffer fresh = ByteBuffer.allocate(size.totalSize());
            value.write(new ByteBufferAccessor(fresh), cache, version);
            return fresh;
        });
        timing.report("size", () -> {
            MessageSizeAccumulator size = new MessageSizeAccumulator();
            value.addSize(size, new ObjectSerializationCache(), version);
            return size;
        });
        double least = timing.least(() -> constructor.apply(new ByteBufferAccessor(ByteBuffer.wrap(frame)), version));
        // Strings are copied and records share the frame, which the collector keeps: there is but one kind of value.
        timing.print("decode", least);
        timing.print("decode-static", least);
    }

    /** As Kafka's SendBuilder does: the sizes first, which a tagged field's length needs, then the bytes. */
    private static void encode(Message value, short version, ByteBuffer out) {
        ObjectSerializationCache cache = new ObjectSerializationCache();
        MessageSizeAccumulator size = new MessageSizeAccumulator();
        value.addSize(size, cache, version);
        value.write(new ByteBufferAccessor(out), cache, version);
    }

    private static String[] row(Path dir, String id) throws IOException {
        for (String line : Files.readAllLines(dir.resolve("cases.tsv"))) {
            String[] row = line.split("\t");
            if (row[0].equals(id)) return row;
        }
        throw new IllegalArgumentException("there is no case " + id);
    }

    /** The constructor that reads a message. The handle is constant in the function, so the JIT can inline it. */
    private static BiFunction<Readable, Short, Message> constructor(String message) throws Throwable {
        String name = message.endsWith("Record") ? message : message + "Data";
        Class<?> type = Class.forName("org.apache.kafka.common.message." + name);
        MethodHandles.Lookup lookup = MethodHandles.lookup();
        MethodHandle constructor =
                lookup.findConstructor(type, MethodType.methodType(void.class, Readable.class, short.class));
        return (BiFunction<Readable, Short, Message>) java.lang.invoke.LambdaMetafactory.metafactory(
                        lookup,
                        "apply",
                        MethodType.methodType(BiFunction.class),
                        MethodType.methodType(Object.class, Object.class, Object.class),
                        constructor,
                        MethodType.methodType(type, Readable.class, Short.class))
                .getTarget()
                .invoke();
    }
}
