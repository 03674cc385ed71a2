package kwire;

import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.util.Locale;

/** Times calls of one case and prints a line for each figure: time, case, operation, contestant, nanoseconds. */
final class Timing {
    /** What is timed; the result is kept from being optimised away. */
    interface Call {
        Object run();
    }

    /** Results go here, so that no work can be left out. */
    private static volatile Object sink;

    private static final ThreadMXBean CPU = ManagementFactory.getThreadMXBean();

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
     * How long a batch of calls takes at least, as in the Rust program: what interrupts the process now and then must
     * leave some batches alone.
     */
    private static final long BATCH_NANOS = 500_000;

    /**
     * The least nanoseconds of a call over many batches. The calls run for at least twice the time before, in which they
     * are compiled; on a busy machine for longer, as the compiler needs the processor too.
     */
    double least(Call call) {
        long turns = 1;
        long warm = CPU.getCurrentThreadCpuTime() + 2_000_000 * millis;
        long latest = System.nanoTime() + 6_000_000 * millis;
        while (CPU.getCurrentThreadCpuTime() < warm && System.nanoTime() < latest) {
            long nanos = batch(call, turns);
            if (nanos < BATCH_NANOS) turns *= 2;
            // What was measured before the call was compiled was too much, and what a pause fell into as well.
            else if (nanos > 3 * BATCH_NANOS && turns > 1) turns /= 2;
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
