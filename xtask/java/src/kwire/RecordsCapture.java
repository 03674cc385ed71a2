package kwire;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.DefaultRecordBatch;
import org.apache.kafka.common.record.internal.RecordBatch;

/**
 * Writes record batches of every kind and codec, and what Java reads out of them.
 *
 * <p>{@code --kafka VERSION --out FILE}
 *
 * <p>Needs a release with the records classes where 4.3 put them.
 */
public final class RecordsCapture {
    private static final List<String> CODECS = List.of("none", "gzip", "snappy", "lz4", "zstd");
    /** zstd came with message format 2. */
    private static final List<String> OLD_CODECS = List.of("none", "gzip", "snappy", "lz4");
    private static final long LOG_APPEND_TIME = 1_711_111_111_111L;

    private final String kafka;
    private final JsonLines out;
    private final Map<String, Integer> lines = new TreeMap<>();

    private RecordsCapture(String kafka, JsonLines out) {
        this.kafka = kafka;
        this.out = out;
    }

    public static void main(String[] arguments) throws IOException {
        Options options = new Options(arguments, Set.of("kafka", "out"));
        try (JsonLines out = new JsonLines(options.require("out"))) {
            RecordsCapture capture = new RecordsCapture(options.require("kafka"), out);
            capture.contents();
            capture.attributes();
            capture.emptyBatches();
            for (Map.Entry<String, ByteBuffer> control : ControlBatches.all().entrySet()) {
                capture.add("control/" + control.getKey(), control.getValue(), false);
            }
            capture.severalBatches();
            capture.corruptBatches();
            capture.oldFormats();
            ObjectNode summary = Json.object();
            summary.put("kafka", capture.kafka).put("lines", out.lines);
            summary.set("linesByKind", new ObjectMapper().valueToTree(capture.lines));
            System.err.println(summary);
        }
    }

    private void contents() throws IOException {
        for (String codec : CODECS) {
            for (String set : RecordSets.NAMES) {
                add("v2/" + codec + "/" + set, new BatchWriter(2, codec).baseOffset(1000).write(set, 7), !codec.equals("none"));
            }
        }
    }

    private void attributes() throws IOException {
        for (String codec : CODECS) {
            BatchWriter logAppend = new BatchWriter(2, codec).logAppendTime(LOG_APPEND_TIME).leaderEpoch(7);
            add("v2/" + codec + "/logappend", logAppend.write("headers", 8), false);
            // The sequence passes its greatest value within the batch and goes on at 0.
            BatchWriter idempotent = new BatchWriter(2, codec).baseOffset(5).producer(4_000_000_000L, 32767, 2147483646).leaderEpoch(3);
            add("v2/" + codec + "/idempotent", idempotent.write("many", 8), false);
            BatchWriter transactional = new BatchWriter(2, codec)
                    .baseOffset(Long.MAX_VALUE - 10)
                    .producer(1, 0, 0)
                    .transactional()
                    .leaderEpoch(Integer.MAX_VALUE);
            add("v2/" + codec + "/transactional", transactional.write("headers", 8), false);
            BatchWriter horizon =
                    new BatchWriter(2, codec).baseOffset(9).producer(9, 1, 1).leaderEpoch(0).deleteHorizon(1_777_777_777_777L);
            add("v2/" + codec + "/deletehorizon", horizon.write("headers", 8), false);
        }
    }

    /** What compaction leaves of a batch whose records are all gone. */
    private void emptyBatches() throws IOException {
        for (boolean transactional : new boolean[] {false, true}) {
            for (boolean control : new boolean[] {false, true}) {
                for (TimestampType type : List.of(TimestampType.CREATE_TIME, TimestampType.LOG_APPEND_TIME)) {
                    ByteBuffer batch = ByteBuffer.allocate(DefaultRecordBatch.RECORD_BATCH_OVERHEAD);
                    long producerId = transactional ? 15 : RecordBatch.NO_PRODUCER_ID;
                    short producerEpoch = transactional ? 2 : RecordBatch.NO_PRODUCER_EPOCH;
                    int sequence = transactional ? 99 : RecordBatch.NO_SEQUENCE;
                    DefaultRecordBatch.writeEmptyHeader(batch, RecordBatch.MAGIC_VALUE_V2, producerId, producerEpoch, sequence,
                            400, 410, 12, type, 1_700_000_000_001L, transactional, control);
                    add("v2/empty/tx=" + transactional + ",ctl=" + control + "," + type, batch.flip(), false);
                }
            }
        }
    }

    /** Two batches in one buffer; and behind them the beginning of a third, which readers drop. */
    private void severalBatches() throws IOException {
        ByteBuffer first = oneRecord();
        ByteBuffer second = new BatchWriter(2, "zstd").baseOffset(1).leaderEpoch(0).write("nulls", 0);
        ByteBuffer partial = first.duplicate().limit(30);
        add("multi/two", concatenated(first, second), false);
        add("multi/two and a partial", concatenated(first, second, partial), false);
    }

    private static ByteBuffer oneRecord() {
        return new BatchWriter(2, "none").leaderEpoch(0).write("one", 0);
    }

    private static ByteBuffer concatenated(ByteBuffer... parts) {
        int length = 0;
        for (ByteBuffer part : parts) length += part.remaining();
        ByteBuffer whole = ByteBuffer.allocate(length);
        for (ByteBuffer part : parts) whole.put(part.duplicate());
        return whole.flip();
    }

    /** One bit wrong: in the checksum, the attributes, a timestamp, the count, a record. */
    private void corruptBatches() throws IOException {
        for (int at : new int[] {17, 21, 30, 57, 65}) {
            ByteBuffer bytes = concatenated(oneRecord());
            bytes.put(at, (byte) (bytes.get(at) ^ 1));
            ObjectNode line = start("corrupt/flip bit at " + at, bytes);
            try {
                BatchReader.validate(bytes);
            } catch (RuntimeException e) {
                line.put("error", e.getClass().getSimpleName()).put("message", e.getMessage());
            }
            out.add(line);
        }
    }

    private void oldFormats() throws IOException {
        for (int magic = 0; magic <= 1; magic++) {
            for (String codec : OLD_CODECS) {
                for (String set : RecordSets.NAMES) {
                    String name = "v" + magic + "/" + codec + "/" + set;
                    BatchWriter writer = new BatchWriter(magic, codec).baseOffset(50);
                    if (magic == 0) writer.withoutTimestamps();
                    addOldFormat(name, writer, set, codec);
                    if (magic == 1) addOldFormat(name + "/logappend", writer.logAppendTime(LOG_APPEND_TIME), set, codec);
                }
            }
        }
    }

    private void addOldFormat(String name, BatchWriter writer, String set, String codec) throws IOException {
        ByteBuffer bytes;
        try {
            bytes = writer.write(set, 9);
        } catch (RuntimeException e) {
            // Not every set can be had in every old format.
            lines.merge("refused: " + name + ": " + e.getMessage(), 1, Integer::sum);
            return;
        }
        add(name, bytes, !codec.equals("none"));
    }

    /** {@code compressor} notes that the codec's library decided about the compressed bytes. */
    private void add(String name, ByteBuffer bytes, boolean compressor) throws IOException {
        ObjectNode line = start(name, bytes);
        if (compressor) line.put("compressor", "library default");
        line.set("batches", BatchReader.batches(bytes));
        out.add(line);
    }

    private ObjectNode start(String name, ByteBuffer bytes) {
        lines.merge(name.substring(0, name.indexOf('/')), 1, Integer::sum);
        return Json.object().put("kafka", kafka).put("name", name).put("hex", Hex.of(bytes));
    }
}
