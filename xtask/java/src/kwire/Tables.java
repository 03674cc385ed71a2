package kwire;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.util.Arrays;
import java.util.Comparator;
import java.util.EnumSet;
import java.util.Locale;
import java.util.Set;
import java.util.TreeSet;
import org.apache.kafka.common.errors.ApiException;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.Errors;

/**
 * Prints the tables that Kafka keeps in code rather than in schemas, as one JSON object:
 * {@code errors}, {@code apis} and, from the releases that have them, {@code features}.
 *
 * <p>{@code --kafka VERSION}
 */
public final class Tables {
    private Tables() {}

    public static void main(String[] arguments) throws IOException {
        Options options = new Options(arguments, Set.of("kafka"));
        ObjectNode tables = Json.object();
        tables.put("kafka", options.require("kafka"));
        tables.set("errors", errors());
        tables.set("apis", apis());
        if (FeatureTable.isAvailable()) tables.set("features", FeatureTable.features());
        System.out.println(Json.print(tables));
    }

    private static ArrayNode errors() {
        ArrayNode out = Json.NODES.arrayNode();
        Errors[] errors = Errors.values();
        Arrays.sort(errors, Comparator.comparingInt(Errors::code));
        for (Errors error : errors) {
            ApiException exception = error.exception();
            ObjectNode row = out.addObject();
            row.put("code", error.code()).put("name", error.name()).put("retriable", exception instanceof RetriableException);
            row.put("exception", exception == null ? null : exception.getClass().getSimpleName());
        }
        return out;
    }

    private static ArrayNode apis() {
        ArrayNode out = Json.NODES.arrayNode();
        ApiMessageType[] types = ApiMessageType.values();
        Arrays.sort(types, Comparator.comparingInt(ApiMessageType::apiKey));
        for (ApiMessageType type : types) out.add(api(type));
        return out;
    }

    private static ObjectNode api(ApiMessageType type) {
        ApiKeys key = ApiKeys.forId(type.apiKey());
        short lowest = type.lowestSupportedVersion();
        short highest = highestVersion(type);
        ObjectNode row = Json.object();
        row.put("key", type.apiKey()).put("name", type.name).put("constant", key.name());
        row.put("lowest", lowest).put("highest", highest).put("latestVersionUnstable", isLatestVersionUnstable(type));
        ArrayNode requestHeaders = row.putArray("requestHeaders");
        ArrayNode responseHeaders = row.putArray("responseHeaders");
        for (int version = lowest; version <= highest; version++) {
            requestHeaders.add(type.requestHeaderVersion((short) version));
            responseHeaders.add(type.responseHeaderVersion((short) version));
        }
        ArrayNode listeners = row.putArray("listeners");
        for (String listener : listenerNames(type.listeners())) listeners.add(listener);
        return row.put("clusterAction", key.clusterAction).put("forwardable", key.forwardable);
    }

    /** As schemas spell them: ZK_BROKER is zkBroker. */
    private static TreeSet<String> listenerNames(EnumSet<ApiMessageType.ListenerType> listeners) {
        TreeSet<String> names = new TreeSet<>();
        for (ApiMessageType.ListenerType listener : listeners) {
            StringBuilder name = new StringBuilder();
            for (String word : listener.name().toLowerCase(Locale.ROOT).split("_")) {
                name.append(name.isEmpty() ? word : Character.toUpperCase(word.charAt(0)) + word.substring(1));
            }
            names.add(name.toString());
        }
        return names;
    }

    /** Unstable versions have had a parameter of their own since 3.x. */
    private static short highestVersion(ApiMessageType type) {
        boolean knowsUnstable = Reflect.methodOrNull(ApiMessageType.class, "highestSupportedVersion", 1) != null;
        return (short) (knowsUnstable ? Reflect.call(type, "highestSupportedVersion", true) : Reflect.call(type, "highestSupportedVersion"));
    }

    private static boolean isLatestVersionUnstable(ApiMessageType type) {
        boolean knowsUnstable = Reflect.methodOrNull(ApiMessageType.class, "latestVersionUnstable", 0) != null;
        return knowsUnstable && (boolean) Reflect.call(type, "latestVersionUnstable");
    }
}
