package kwire;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.MutableRecordBatch;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.utils.internals.BufferSupplier;
import org.apache.kafka.common.utils.internals.ByteBufferOutputStream;
import org.apache.kafka.common.utils.internals.CloseableIterator;

/**
 * Times Kafka's own classes on the record batch of one compression.
 *
 * <p>Usage: {@code Batches DIR MILLISECONDS COMPRESSION}.
 */
public final class Batches {
    private Batches() {}

    public static void main(String[] arguments) throws Exception {
        String compression = arguments[2];
        Timing timing = new Timing(compression, Long.parseLong(arguments[1]));
        byte[] frame = Files.readAllBytes(Path.of(arguments[0]).resolve("batch-" + compression + ".bin"));
        Compression codec = Compression.of(CompressionType.forName(compression)).build();
        List<Record> records = decode(frame);
        List<byte[]> values = new ArrayList<>();
        for (Record record : records) {
            byte[] value = new byte[record.valueSize()];
            record.value().get(value);
            values.add(value);
        }
        long timestamp = records.get(0).timestamp();
        ByteBuffer out = ByteBuffer.allocate(frame.length + (2 << 20));
        ByteBuffer written = encode(out, codec, timestamp, values);
        if (compression.equals("none") && !written.equals(ByteBuffer.wrap(frame))) {
            throw new IllegalStateException("the bytes differ");
        }

        timing.report("batch-encode", () -> encode(out, codec, timestamp, values));
        timing.report("batch-decode", () -> decode(frame));
        BufferSupplier buffers = BufferSupplier.create();
        timing.report("batch-iterate", () -> count(frame, buffers));
    }

    private static ByteBuffer encode(ByteBuffer out, Compression codec, long timestamp, List<byte[]> values) {
        out.clear();
        MemoryRecordsBuilder builder = new MemoryRecordsBuilder(
                new ByteBufferOutputStream(out), RecordBatch.MAGIC_VALUE_V2, codec, TimestampType.CREATE_TIME, 0,
                RecordBatch.NO_TIMESTAMP, RecordBatch.NO_PRODUCER_ID, RecordBatch.NO_PRODUCER_EPOCH, RecordBatch.NO_SEQUENCE,
                false, false, RecordBatch.NO_PARTITION_LEADER_EPOCH, Integer.MAX_VALUE);
        for (int at = 0; at < values.size(); at++) {
            builder.append(timestamp + at, null, values.get(at), new Header[0]);
        }
        return builder.build().buffer();
    }

    /** Records that the collector keeps as long as they are wanted. */
    private static List<Record> decode(byte[] frame) {
        List<Record> records = new ArrayList<>();
        for (MutableRecordBatch batch : MemoryRecords.readableRecords(ByteBuffer.wrap(frame)).batches()) {
            batch.ensureValid();
            for (Record record : batch) records.add(record);
        }
        return records;
    }

    /** As the consumer reads, with buffers that are used again. */
    private static Object count(byte[] frame, BufferSupplier buffers) {
        long sum = 0;
        for (MutableRecordBatch batch : MemoryRecords.readableRecords(ByteBuffer.wrap(frame)).batches()) {
            batch.ensureValid();
            try (CloseableIterator<Record> records = batch.streamingIterator(buffers)) {
                while (records.hasNext()) sum += records.next().offset();
            }
        }
        return sum;
    }
}
