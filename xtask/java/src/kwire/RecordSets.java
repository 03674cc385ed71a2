package kwire;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.internal.RecordBatch;

/** The records that the batches are filled with. */
final class RecordSets {
    static final List<String> NAMES = List.of("one", "nulls", "headers", "backwards", "gaps", "many", "big", "notimestamp");

    private static final long TIME = 1_700_000_000_000L;

    /** A record to append. */
    record Item(long offset, long timestamp, byte[] key, byte[] value, Header... headers) {}

    private final long base;
    private final Random random;
    private final List<Item> items = new ArrayList<>();

    private RecordSets(long base, Random random) {
        this.base = base;
        this.random = random;
    }

    /** The set of that name, its first record at offset {@code base}. */
    static List<Item> named(String name, long base, int seed) {
        RecordSets set = new RecordSets(base, new Random(seed));
        switch (name) {
            case "one" -> set.add(0, TIME, "key", "value");
            case "nulls" -> set.nulls();
            case "headers" -> set.headers();
            case "backwards" -> set.backwards();
            case "gaps" -> set.gaps();
            case "many" -> set.many();
            case "big" -> set.big();
            case "notimestamp" -> set.add(0, RecordBatch.NO_TIMESTAMP, "k", "v");
            default -> throw new IllegalArgumentException("no record set " + name);
        }
        return set.items;
    }

    private void nulls() {
        add(0, TIME, null, null);
        add(1, TIME, "", "");
        add(2, TIME, null, "v");
        add(3, TIME, "k", null);
    }

    /** No headers, one, and several: with an empty key, a null value, and a key twice. */
    private void headers() {
        add(0, TIME, "k", "v", header("k", "v"), header("", ""), header("nül", null), header("k", "again"));
        add(1, TIME + 1, null, "v", header("only", "é中😀"));
        add(2, TIME + 2, "k", "v");
    }

    /** Timestamp deltas that are negative, and one that needs more than 32 bits. */
    private void backwards() {
        add(0, TIME, "a", "1");
        add(1, TIME - 100_000, "b", "2");
        add(2, TIME + 5_000_000_000L, "c", "3");
        add(3, 0, "d", "4");
    }

    /** Offsets with holes, as compaction leaves them. */
    private void gaps() {
        add(0, TIME, "a", "1");
        add(5, TIME + 1, "b", "2");
        add(1_000, TIME + 2, "c", "3");
        add(2_000_000, TIME + 3, "d", "4");
    }

    private void many() {
        for (int i = 0; i < 150; i++) {
            String key = i % 5 == 0 ? null : "key-" + i;
            String value = "value-" + "xyz".repeat(random.nextInt(8));
            Header[] headers = i % 7 == 0 ? new Header[] {header("h" + i, "hv" + i)} : new Header[0];
            add(i, TIME + i * 3L, key, value, headers);
        }
    }

    /** One value that compresses well and is larger than a codec's block, one key that does not compress. */
    private void big() {
        byte[] regular = new byte[70_000];
        for (int i = 0; i < regular.length; i++) regular[i] = (byte) (i % 251);
        byte[] noise = new byte[9_000];
        random.nextBytes(noise);
        items.add(new Item(base, TIME, utf8("k"), regular));
        items.add(new Item(base + 1, TIME, noise, utf8("small")));
    }

    private void add(long delta, long timestamp, String key, String value, Header... headers) {
        items.add(new Item(base + delta, timestamp, utf8(key), utf8(value), headers));
    }

    private static Header header(String key, String value) {
        return new RecordHeader(key, utf8(value));
    }

    private static byte[] utf8(String text) {
        return text == null ? null : text.getBytes(StandardCharsets.UTF_8);
    }
}
