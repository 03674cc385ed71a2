package kwire;

import java.io.File;
import java.util.Map;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.AbstractConfig;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.raft.Isolation;
import org.apache.kafka.raft.MetadataLogConfig;
import org.apache.kafka.raft.internals.KafkaRaftLog;
import org.apache.kafka.server.util.KafkaScheduler;

/**
 * Opens the directory of the metadata log as a controller does, reads it to its end, and says what it found. The log
 * is open to be written to: give it a copy.
 */
final class OpenLog {
    private static final int MAX_READ = 10_000;

    private OpenLog() {
    }

    public static void main(String[] args) throws Exception {
        KafkaScheduler scheduler = new KafkaScheduler(1);
        scheduler.startup();
        TopicPartition partition = new TopicPartition("__cluster_metadata", 0);
        MetadataLogConfig config = new MetadataLogConfig(new AbstractConfig(MetadataLogConfig.CONFIG_DEF, Map.of()));
        KafkaRaftLog log = KafkaRaftLog.createLog(
            partition, Uuid.METADATA_TOPIC_ID, new File(args[0]), Time.SYSTEM, scheduler, config, 1);
        System.out.println("start " + log.startOffset());
        System.out.println("end " + log.endOffset().offset());
        System.out.println("epoch " + log.lastFetchedEpoch());
        System.out.println("latest " + log.latestSnapshotId().map(id -> id.offset() + " " + id.epoch()).orElse("none"));
        for (int epoch = 0; epoch <= log.lastFetchedEpoch(); epoch++) {
            var end = log.endOffsetForEpoch(epoch);
            System.out.println("epoch " + epoch + " ends " + end.offset() + " " + end.epoch());
        }
        long next = log.startOffset();
        while (next < log.endOffset().offset()) {
            for (var batch : log.read(next, Isolation.UNCOMMITTED, MAX_READ).records.batches()) {
                batch.ensureValid();
                System.out.println("batch " + batch.baseOffset() + " " + batch.lastOffset() + " "
                    + batch.partitionLeaderEpoch() + " " + batch.checksum());
                next = batch.nextOffset();
            }
        }
        log.close();
        scheduler.shutdown();
    }
}
