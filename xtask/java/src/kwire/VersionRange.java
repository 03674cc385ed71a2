package kwire;

/** The versions that a schema names: {@code "3-13"}, {@code "2"}, {@code "9+"} or {@code "none"}. */
record VersionRange(int lowest, int highest) {
    static final VersionRange NONE = new VersionRange(0, -1);

    /** Reads a schema's text; what is missing or empty is {@code otherwise}. */
    static VersionRange parse(String text, VersionRange otherwise) {
        if (text == null || text.isBlank()) return otherwise;
        String range = text.strip();
        if (range.equals("none")) return NONE;
        if (range.endsWith("+")) {
            return new VersionRange(Integer.parseInt(range.substring(0, range.length() - 1)), Short.MAX_VALUE);
        }
        String[] ends = range.split("-", 2);
        return new VersionRange(Integer.parseInt(ends[0]), Integer.parseInt(ends[ends.length - 1]));
    }

    boolean contains(int version) {
        return lowest <= version && version <= highest;
    }

    boolean isEmpty() {
        return lowest > highest;
    }

    @Override
    public String toString() {
        return isEmpty() ? "none" : lowest == highest ? "" + lowest : lowest + "-" + highest;
    }
}
