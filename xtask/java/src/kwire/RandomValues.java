package kwire;

import java.nio.charset.StandardCharsets;
import java.util.Random;
import org.apache.kafka.common.Uuid;

/**
 * A stream of values that depends on nothing but what it was started with.
 * It favours the edges: the ends of integer types, lengths where a varint grows, text outside ASCII.
 */
final class RandomValues {
    private static final String[] CURIOSITIES = {
        "é", "ß", "Ж", "中", "日本", "😀", "𝄞", "\u0000", "\t", "\"", "\\", "/", "\u007f", "\u0080", "\u2028", "\uffff",
    };

    private final Random random;

    /** Every (seed, message, version, purpose) has a stream of its own, so that adding one shifts no other. */
    RandomValues(long seed, String message, int version, String purpose) {
        long hash = 0xcbf29ce484222325L;
        String label = seed + "/" + message + "/" + version + "/" + purpose;
        for (byte b : label.getBytes(StandardCharsets.UTF_8)) hash = (hash ^ b) * 0x100000001b3L;
        random = new Random(hash ^ (hash >>> 32));
    }

    /** True once in {@code n} times. */
    boolean oneIn(int n) {
        return random.nextInt(n) == 0;
    }

    /** From {@code low} to {@code high}, both included. */
    int between(int low, int high) {
        return low + random.nextInt(high - low + 1);
    }

    Object value(FieldType type) {
        return switch (type) {
            case BOOL -> random.nextBoolean();
            case FLOAT64 -> float64();
            case UUID -> oneIn(8) ? Uuid.ZERO_UUID : new Uuid(random.nextLong(), random.nextLong());
            case STRING -> string();
            case BYTES -> bytes();
            case RECORDS -> RecordsField.wrap(bytes());
            case STRUCT -> throw new IllegalArgumentException("a struct is no single value");
            default -> Numbers.box(type, integer(type.min, type.max));
        };
    }

    byte[] bytes() {
        byte[] bytes = new byte[switch (between(0, 5)) {
            case 0 -> 0;
            case 1 -> between(125, 132);
            default -> between(1, 24);
        }];
        random.nextBytes(bytes);
        return bytes;
    }

    private String string() {
        return switch (between(0, 7)) {
            case 0 -> "";
            case 1 -> curious(between(1, 6));
            case 2 -> alphabet(between(120, 139));
            case 3 -> alphabet(oneIn(60) ? between(16380, 16387) : between(1, 12));
            default -> printable(between(1, 12));
        };
    }

    private String curious(int length) {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < length; i++) text.append(CURIOSITIES[random.nextInt(CURIOSITIES.length)]);
        return text.toString();
    }

    private static String alphabet(int length) {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < length; i++) text.append((char) ('a' + i % 26));
        return text.toString();
    }

    private String printable(int length) {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < length; i++) text.append((char) between('!', '~'));
        return text.toString();
    }

    private long integer(long min, long max) {
        return switch (between(0, 7)) {
            case 0 -> min;
            case 1 -> max;
            case 2 -> Math.max(min, -1);
            case 3 -> 0;
            case 4 -> Math.min(max, random.nextInt(1000));
            default -> max == Long.MAX_VALUE ? random.nextLong() : min + Math.floorMod(random.nextLong(), max - min + 1);
        };
    }

    private double float64() {
        return switch (between(0, 4)) {
            case 0 -> -0.0;
            case 1 -> Double.MIN_VALUE;
            case 2 -> -Double.MAX_VALUE;
            default -> random.nextGaussian() * 1e6;
        };
    }
}
