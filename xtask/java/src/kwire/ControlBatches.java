package kwire;

import java.nio.ByteBuffer;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.message.KRaftVersionRecord;
import org.apache.kafka.common.message.LeaderChangeMessage;
import org.apache.kafka.common.message.SnapshotFooterRecord;
import org.apache.kafka.common.message.SnapshotHeaderRecord;
import org.apache.kafka.common.message.VotersRecord;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.ControlRecordUtils;
import org.apache.kafka.common.record.internal.EndTransactionMarker;
import org.apache.kafka.common.record.internal.MemoryRecords;

/** Control batches of every type, by name. */
final class ControlBatches {
    private static final long TIME = 1_700_000_000_000L;
    private static final int LEADER_EPOCH = 5;

    private ControlBatches() {}

    static Map<String, ByteBuffer> all() {
        Map<String, ByteBuffer> out = new LinkedHashMap<>();
        for (ControlRecordType type : List.of(ControlRecordType.COMMIT, ControlRecordType.ABORT)) {
            EndTransactionMarker marker = new EndTransactionMarker(type, 31);
            out.put(type.name(), MemoryRecords.withEndTransactionMarker(77, TIME, 4, 1_234_567_890_123L, (short) 9, marker).buffer());
        }
        out.put("LEADER_CHANGE", leaderChange(leaderChange(0)));
        // Java writes a leader change at version 0 whatever its own Version field says.
        out.put("LEADER_CHANGE, Version field 1", leaderChange(leaderChange(1)));
        SnapshotHeaderRecord header = new SnapshotHeaderRecord().setVersion((short) 0).setLastContainedLogTimestamp(TIME - 1);
        out.put("SNAPSHOT_HEADER", MemoryRecords.withSnapshotHeaderRecord(0, TIME, LEADER_EPOCH, buffer(), header).buffer());
        SnapshotFooterRecord footer = new SnapshotFooterRecord().setVersion((short) 0);
        out.put("SNAPSHOT_FOOTER", MemoryRecords.withSnapshotFooterRecord(20, TIME, LEADER_EPOCH, buffer(), footer).buffer());
        KRaftVersionRecord version = new KRaftVersionRecord().setVersion((short) 0).setKRaftVersion((short) 1);
        out.put("KRAFT_VERSION", MemoryRecords.withKRaftVersionRecord(1, TIME, LEADER_EPOCH, buffer(), version).buffer());
        out.put("KRAFT_VOTERS", MemoryRecords.withVotersRecord(2, TIME, LEADER_EPOCH, buffer(), voters()).buffer());
        return out;
    }

    private static ByteBuffer leaderChange(LeaderChangeMessage message) {
        return MemoryRecords.withLeaderChangeMessage(10, TIME, LEADER_EPOCH, buffer(), message).buffer();
    }

    private static LeaderChangeMessage leaderChange(int version) {
        return new LeaderChangeMessage()
                .setVersion((short) version)
                .setLeaderId(2)
                .setVoters(List.of(voter(version, 1), voter(version, 2), voter(version, 3)))
                .setGrantingVoters(List.of(voter(version, 2), voter(version, 3)));
    }

    /** With a directory id only if the builder's version has one: it refuses what it cannot write. */
    private static LeaderChangeMessage.Voter voter(int version, int id) {
        LeaderChangeMessage.Voter voter = new LeaderChangeMessage.Voter().setVoterId(id);
        boolean hasDirectory = version >= 1 && ControlRecordUtils.LEADER_CHANGE_CURRENT_VERSION >= 1;
        return hasDirectory ? voter.setVoterDirectoryId(new Uuid(11, id)) : voter;
    }

    private static VotersRecord voters() {
        VotersRecord out = new VotersRecord().setVersion((short) 0);
        for (int id = 1; id <= 3; id++) {
            VotersRecord.EndpointCollection endpoints = new VotersRecord.EndpointCollection();
            endpoints.add(new VotersRecord.Endpoint().setName("CONTROLLER").setHost("host-" + id).setPort(9092 + id));
            endpoints.add(new VotersRecord.Endpoint().setName("SSL").setHost("höst").setPort(65535));
            VotersRecord.KRaftVersionFeature range =
                    new VotersRecord.KRaftVersionFeature().setMinSupportedVersion((short) 0).setMaxSupportedVersion((short) 1);
            out.voters().add(new VotersRecord.Voter()
                    .setVoterId(id)
                    .setVoterDirectoryId(new Uuid(5, id))
                    .setEndpoints(endpoints)
                    .setKRaftVersionFeature(range));
        }
        return out;
    }

    private static ByteBuffer buffer() {
        return ByteBuffer.allocate(1024);
    }
}
