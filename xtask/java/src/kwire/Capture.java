package kwire;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * Writes a corpus of every message and version of the Kafka release on the class path.
 *
 * <p>{@code --kafka VERSION [--seed N] [--k N] [--out FILE] [--neg FILE] [--only MESSAGE]}
 *
 * <p>The corpus has {@code k} lines for each version: the default, the smallest value, and random ones;
 * one more where ignorable fields are absent from the version. The negative corpus has what must be refused.
 * The same seed gives the same lines. A summary in JSON goes to standard error.
 */
public final class Capture {
    private Capture() {}

    public static void main(String[] arguments) throws IOException {
        Options options = new Options(arguments, Set.of("kafka", "seed", "k", "out", "neg", "only"));
        String kafka = options.require("kafka");
        long seed = Long.parseLong(options.get("seed", "1001"));
        int k = Integer.parseInt(options.get("k", "6"));
        String only = options.get("only");
        SchemaLoader loader = SchemaLoader.load();
        if (only != null && !loader.messages.containsKey(only)) throw new IllegalArgumentException("no message " + only);

        try (JsonLines corpus = new JsonLines(options.get("out")); JsonLines negative = new JsonLines(options.get("neg"))) {
            PositiveCases positives = new PositiveCases(kafka, seed, k, corpus, negative);
            NegativeCases negatives = new NegativeCases(kafka, seed, negative);
            Map<String, Integer> pairsByType = new TreeMap<>();
            int pairs = 0;
            for (MessageSchema schema : loader.messages.values()) {
                if (only != null && !only.equals(schema.name)) continue;
                for (int version = schema.validVersions.lowest(); version <= schema.validVersions.highest(); version++) {
                    byte[] bytes = positives.capture(schema, (short) version);
                    negatives.capture(schema, (short) version, bytes);
                    pairsByType.merge(schema.type, 1, Integer::sum);
                    pairs++;
                }
            }
            ObjectMapper mapper = new ObjectMapper();
            ObjectNode summary = Json.object();
            summary.put("kafka", kafka).put("seed", seed).put("k", k);
            summary.put("schemas", loader.schemas).put("messages", loader.messages.size()).put("retired", loader.retired.size());
            summary.put("pairs", pairs);
            summary.set("pairsByType", mapper.valueToTree(pairsByType));
            summary.put("lines", corpus.lines).put("wireBytes", positives.wireBytes);
            summary.set("linesByKind", mapper.valueToTree(positives.lines));
            summary.put("negativeLines", negative.lines);
            summary.set("negativeByKind", mapper.valueToTree(negatives.lines));
            summary.put("defaultsThatDoNotEncode", positives.unencodableDefaults).put("negativeAccepted", negatives.accepted);
            System.err.println(summary);
        }
    }
}
