package kwire;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.DefaultRecordBatch;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MutableRecordBatch;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.utils.internals.BufferSupplier;

/** What Java sees in the bytes of record batches. */
final class BatchReader {
    private BatchReader() {}

    static ArrayNode batches(ByteBuffer bytes) throws IOException {
        ArrayNode out = Json.NODES.arrayNode();
        for (MutableRecordBatch batch : MemoryRecords.readableRecords(bytes.duplicate()).batches()) {
            batch.ensureValid();
            out.add(batch(batch));
        }
        return out;
    }

    /** Reads everything and throws what Java throws. */
    static void validate(ByteBuffer bytes) {
        for (MutableRecordBatch batch : MemoryRecords.readableRecords(bytes.duplicate()).batches()) {
            batch.ensureValid();
            for (Record record : batch) record.ensureValid();
        }
    }

    private static ObjectNode batch(MutableRecordBatch batch) throws IOException {
        ObjectNode out = Json.object();
        out.put("magic", batch.magic()).put("compression", batch.compressionType().name);
        out.put("timestampType", batch.timestampType().name());
        out.put("baseOffset", batch.baseOffset()).put("lastOffset", batch.lastOffset());
        out.put("maxTimestamp", batch.maxTimestamp()).put("sizeInBytes", batch.sizeInBytes());
        // In the older formats the checksum belongs to the message, not to the batch.
        out.put("crc", batch instanceof DefaultRecordBatch current ? current.checksum() : -1);
        if (batch instanceof DefaultRecordBatch current) putHeader(out, current);
        ArrayNode records = out.putArray("records");
        for (Record record : batch) records.add(record(batch, record));
        return out;
    }

    private static void putHeader(ObjectNode out, DefaultRecordBatch batch) throws IOException {
        out.put("baseTimestamp", batch.baseTimestamp()).put("partitionLeaderEpoch", batch.partitionLeaderEpoch());
        out.put("producerId", batch.producerId()).put("producerEpoch", batch.producerEpoch());
        out.put("baseSequence", batch.baseSequence()).put("lastSequence", batch.lastSequence());
        out.put("transactional", batch.isTransactional()).put("control", batch.isControlBatch());
        out.put("countOrNull", batch.countOrNull());
        out.put("deleteHorizonMs", batch.deleteHorizonMs().isPresent() ? batch.deleteHorizonMs().getAsLong() : null);
        if (batch.compressionType() != CompressionType.NONE) out.put("recordsHex", Hex.of(decompressed(batch)));
    }

    /** The records section alone is compressed. */
    private static byte[] decompressed(DefaultRecordBatch batch) throws IOException {
        ByteBuffer whole = ByteBuffer.allocate(batch.sizeInBytes());
        batch.writeTo(whole);
        whole.flip().position(DefaultRecordBatch.RECORD_BATCH_OVERHEAD);
        Compression compression = Compression.of(batch.compressionType()).build();
        try (InputStream in = compression.wrapForInput(whole.slice(), batch.magic(), BufferSupplier.NO_CACHING)) {
            return in.readAllBytes();
        }
    }

    private static ObjectNode record(RecordBatch batch, Record record) {
        ObjectNode out = Json.object();
        out.put("offset", record.offset()).put("timestamp", record.timestamp());
        if (batch.magic() >= RecordBatch.MAGIC_VALUE_V2) out.put("sequence", record.sequence());
        out.put("key", Hex.of(record.key())).put("value", Hex.of(record.value()));
        ArrayNode headers = out.putArray("headers");
        for (Header header : record.headers()) {
            headers.addArray().add(header.key()).add(header.value() == null ? null : Hex.of(header.value()));
        }
        if (batch.isControlBatch()) out.put("controlType", ControlRecordType.parse(record.key()).name());
        return out;
    }
}
