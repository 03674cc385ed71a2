package kwire;

import java.util.Locale;

/** Times calls of one case and prints a line for each figure: time, case, operation, contestant, nanoseconds. */
final class Timing {
    /** What is timed; the result is kept from being optimised away. */
    interface Call {
        Object run();
    }

    /** Results go here, so that no work can be left out. */
    private static volatile Object sink;

    private final String id;
    private final long millis;

    /** Each call is timed for so many milliseconds. */
    Timing(String id, long millis) {
        this.id = id;
        this.millis = millis;
    }

    void report(String operation, Call call) {
        print(operation, least(call));
    }

    void print(String operation, double nanos) {
        System.out.printf(Locale.ROOT, "time\t%s\t%s\tkafka-clients\t%.1f%n", id, operation, nanos);
    }

    /**
     * The least nanoseconds of a call over many batches. The calls run twice as long before as they are timed, so that
     * they are compiled. A batch is long enough to bear its part of the garbage collector's work.
     */
    double least(Call call) {
        long turns = 1;
        long warm = System.nanoTime() + 2_000_000 * millis;
        while (System.nanoTime() < warm) {
            long nanos = batch(call, turns);
            if (nanos < millis * 1_000_000 / 50) turns *= 2;
            else if (nanos > millis * 1_000_000 / 20 && turns > 1) turns /= 2;
        }
        double least = Double.MAX_VALUE;
        long end = System.nanoTime() + 1_000_000 * millis;
        do {
            least = Math.min(least, (double) batch(call, turns) / turns);
        } while (System.nanoTime() < end);
        return least;
    }

    private static long batch(Call call, long turns) {
        long start = System.nanoTime();
        for (long turn = 0; turn < turns; turn++) {
            sink = call.run();
        }
        return System.nanoTime() - start;
    }
}
