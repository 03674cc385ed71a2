package kwire;

import java.nio.ByteBuffer;
import java.util.HexFormat;

/** Bytes as lower-case hexadecimal text. */
final class Hex {
    private Hex() {}

    static String of(byte[] bytes) {
        return HexFormat.of().formatHex(bytes);
    }

    /** What remains in the buffer, which stays as it is; null for null. */
    static String of(ByteBuffer buffer) {
        if (buffer == null) return null;
        byte[] bytes = new byte[buffer.remaining()];
        buffer.duplicate().get(bytes);
        return of(bytes);
    }

    static byte[] parse(String text) {
        return HexFormat.of().parseHex(text);
    }
}
