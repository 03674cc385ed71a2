package kwire;

import java.nio.ByteBuffer;
import java.util.List;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.utils.internals.ByteBufferOutputStream;

/** Settings of one batch, by Java's defaults, and its bytes. */
final class BatchWriter {
    private final byte magic;
    private final String codec;
    private TimestampType timestampType = TimestampType.CREATE_TIME;
    private long baseOffset;
    private long logAppendTime = RecordBatch.NO_TIMESTAMP;
    private long producerId = RecordBatch.NO_PRODUCER_ID;
    private short producerEpoch = RecordBatch.NO_PRODUCER_EPOCH;
    private int baseSequence = RecordBatch.NO_SEQUENCE;
    private boolean transactional;
    private int leaderEpoch = RecordBatch.NO_PARTITION_LEADER_EPOCH;
    private long deleteHorizon = RecordBatch.NO_TIMESTAMP;

    BatchWriter(int magic, String codec) {
        this.magic = (byte) magic;
        this.codec = codec;
    }

    BatchWriter baseOffset(long offset) {
        baseOffset = offset;
        return this;
    }

    BatchWriter logAppendTime(long time) {
        timestampType = TimestampType.LOG_APPEND_TIME;
        logAppendTime = time;
        return this;
    }

    /** Message format 0 has no timestamps at all. */
    BatchWriter withoutTimestamps() {
        timestampType = TimestampType.NO_TIMESTAMP_TYPE;
        return this;
    }

    BatchWriter producer(long id, int epoch, int sequence) {
        producerId = id;
        producerEpoch = (short) epoch;
        baseSequence = sequence;
        return this;
    }

    BatchWriter transactional() {
        transactional = true;
        return this;
    }

    BatchWriter leaderEpoch(int epoch) {
        leaderEpoch = epoch;
        return this;
    }

    BatchWriter deleteHorizon(long time) {
        deleteHorizon = time;
        return this;
    }

    /** The batch with the records of that name in it. */
    ByteBuffer write(String recordSet, int seed) {
        return write(RecordSets.named(recordSet, baseOffset, seed));
    }

    private ByteBuffer write(List<RecordSets.Item> items) {
        MemoryRecordsBuilder builder = new MemoryRecordsBuilder(
                new ByteBufferOutputStream(512), magic, Compression.of(codec).build(), timestampType, baseOffset, logAppendTime,
                producerId, producerEpoch, baseSequence, transactional, false, leaderEpoch, Integer.MAX_VALUE, deleteHorizon);
        for (RecordSets.Item item : items) {
            // The older formats have no headers.
            if (magic < RecordBatch.MAGIC_VALUE_V2) builder.appendWithOffset(item.offset(), item.timestamp(), item.key(), item.value());
            else builder.appendWithOffset(item.offset(), item.timestamp(), item.key(), item.value(), item.headers());
        }
        return builder.build().buffer();
    }
}
