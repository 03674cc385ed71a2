package kwire;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Map;
import java.util.TreeMap;

/**
 * The features that a cluster finalizes, with their levels.
 * Their classes are new in 4.x and only there, so everything is reached by name.
 */
final class FeatureTable {
    private static final Class<?> FEATURE = Reflect.firstClass("org.apache.kafka.server.common.Feature");
    private static final Class<?> METADATA_VERSION = Reflect.firstClass("org.apache.kafka.server.common.MetadataVersion");

    private FeatureTable() {}

    static boolean isAvailable() {
        return FEATURE != null;
    }

    /** All production features, by name. */
    static ArrayNode features() {
        Map<String, ObjectNode> byName = new TreeMap<>();
        byName.put((String) Reflect.constant(METADATA_VERSION, "FEATURE_NAME"), metadataVersion());
        for (Object feature : (Iterable<?>) Reflect.constant(FEATURE, "PRODUCTION_FEATURES")) {
            byName.put((String) Reflect.call(feature, "featureName"), feature(feature));
        }
        ArrayNode out = Json.NODES.arrayNode();
        byName.values().forEach(out::add);
        return out;
    }

    /** metadata.version is no Feature of Java's, but a feature all the same. */
    private static ObjectNode metadataVersion() {
        Object latest = Reflect.constant(METADATA_VERSION, "LATEST_PRODUCTION");
        ObjectNode out = Json.object();
        out.put("name", (String) Reflect.constant(METADATA_VERSION, "FEATURE_NAME"));
        out.put("minimum", level(Reflect.constant(METADATA_VERSION, "MINIMUM_VERSION")));
        out.put("default", level(latest)).put("latestProduction", level(latest));
        ArrayNode levels = out.putArray("levels");
        for (Object version : METADATA_VERSION.getEnumConstants()) {
            ObjectNode row = levels.addObject();
            row.put("level", level(version)).put("name", enumName(version)).put("version", (String) Reflect.call(version, "version"));
            row.put("production", (boolean) Reflect.call(version, "isProduction"));
            row.put("didMetadataChange", (boolean) Reflect.call(version, "didMetadataChange"));
        }
        return out;
    }

    private static ObjectNode feature(Object feature) {
        short latestProduction = (short) Reflect.call(feature, "latestProduction");
        Object latestMetadata = Reflect.constant(METADATA_VERSION, "LATEST_PRODUCTION");
        ObjectNode out = Json.object();
        out.put("name", (String) Reflect.call(feature, "featureName"));
        out.put("minimum", (short) Reflect.call(feature, "minimumProduction"));
        out.put("default", (short) Reflect.call(feature, "defaultLevel", latestMetadata)).put("latestProduction", latestProduction);
        ArrayNode levels = out.putArray("levels");
        for (Object version : (Object[]) Reflect.call(feature, "featureVersions")) {
            ObjectNode row = levels.addObject();
            row.put("level", level(version)).put("name", enumName(version)).put("production", level(version) <= latestProduction);
            Object bootstrap = Reflect.call(version, "bootstrapMetadataVersion");
            row.put("bootstrapMetadataVersion", level(bootstrap));
            ObjectNode dependencies = row.putObject("dependencies");
            new TreeMap<>((Map<?, ?>) Reflect.call(version, "dependencies"))
                    .forEach((name, level) -> dependencies.put((String) name, (short) level));
        }
        return out;
    }

    private static short level(Object version) {
        return (short) Reflect.call(version, "featureLevel");
    }

    private static String enumName(Object constant) {
        return ((Enum<?>) constant).name();
    }
}
