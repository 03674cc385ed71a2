package kwire;

/** Integers in the classes that the generated setters take. */
final class Numbers {
    private Numbers() {}

    static Number box(FieldType type, long value) {
        return switch (type) {
            case INT8 -> (byte) value;
            case INT16 -> (short) value;
            case UINT16, INT32 -> (int) value;
            case UINT32, INT64 -> value;
            default -> throw new IllegalArgumentException(type + " is no integer type");
        };
    }
}
