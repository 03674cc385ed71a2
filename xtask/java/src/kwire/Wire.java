package kwire;

import java.nio.ByteBuffer;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;

/** Messages to bytes and back, by the generated classes. */
final class Wire {
    /** What bytes decode to, and how many of them were left over. */
    record Decoded(Message message, int remaining) {}

    private Wire() {}

    static byte[] encode(Message message, short version) {
        ObjectSerializationCache cache = new ObjectSerializationCache();
        int size = message.size(cache, version);
        ByteBuffer buffer = ByteBuffer.allocate(size);
        message.write(new ByteBufferAccessor(buffer), cache, version);
        if (buffer.hasRemaining()) throw new IllegalStateException("size() said " + size + ", write() wrote " + buffer.position());
        return buffer.array();
    }

    static Decoded decode(MessageSchema schema, byte[] bytes, short version) {
        Message message = schema.root.create();
        ByteBuffer buffer = ByteBuffer.wrap(bytes);
        message.read(new ByteBufferAccessor(buffer), version);
        return new Decoded(message, buffer.remaining());
    }
}
