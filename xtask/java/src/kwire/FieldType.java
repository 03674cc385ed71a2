package kwire;

/** What a field, or an element of an array field, holds. */
enum FieldType {
    BOOL,
    INT8(Byte.MIN_VALUE, Byte.MAX_VALUE),
    INT16(Short.MIN_VALUE, Short.MAX_VALUE),
    UINT16(0, 0xffff),
    INT32(Integer.MIN_VALUE, Integer.MAX_VALUE),
    UINT32(0, 0xffff_ffffL),
    INT64(Long.MIN_VALUE, Long.MAX_VALUE),
    FLOAT64,
    UUID,
    STRING,
    BYTES,
    RECORDS,
    STRUCT;

    /** The least and the greatest value of an integer type. */
    final long min;
    final long max;

    FieldType() {
        this(0, 0);
    }

    FieldType(long min, long max) {
        this.min = min;
        this.max = max;
    }

    /** The type that a schema calls {@code name}; a name in upper case is a struct's. */
    static FieldType named(String name) {
        if (Character.isUpperCase(name.charAt(0))) return STRUCT;
        return valueOf(name.toUpperCase(java.util.Locale.ROOT));
    }

    boolean isInteger() {
        return min != max;
    }

    /** Whether Java holds the type as a reference, which can be null. */
    boolean isReference() {
        return this == STRING || this == BYTES || this == RECORDS || this == STRUCT;
    }
}
