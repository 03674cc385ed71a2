package kwire;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;

/** Reflection without checked exceptions: what a called method throws comes out as it is. */
final class Reflect {
    private Reflect() {}

    static Object create(Class<?> type) {
        try {
            return type.getDeclaredConstructor().newInstance();
        } catch (InvocationTargetException e) {
            throw unchecked(e.getCause());
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(e);
        }
    }

    /** The public method of that name and number of parameters. */
    static Method method(Class<?> type, String name, int parameters) {
        Method found = methodOrNull(type, name, parameters);
        if (found == null) throw new IllegalStateException(type.getName() + " has no " + name + "/" + parameters);
        return found;
    }

    static Method methodOrNull(Class<?> type, String name, int parameters) {
        for (Method method : type.getMethods()) {
            if (method.getName().equals(name) && method.getParameterCount() == parameters && !method.isBridge()) return method;
        }
        return null;
    }

    static Object invoke(Method method, Object target, Object... arguments) {
        try {
            return method.invoke(target, arguments);
        } catch (InvocationTargetException e) {
            throw unchecked(e.getCause());
        } catch (IllegalAccessException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Calls a method by its name. */
    static Object call(Object target, String name, Object... arguments) {
        Method method = method(target.getClass(), name, arguments.length);
        method.setAccessible(true);
        return invoke(method, target, arguments);
    }

    /** The value of a public static field. */
    static Object constant(Class<?> type, String name) {
        try {
            return type.getField(name).get(null);
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(e);
        }
    }

    /** The first of the classes that the release on the class path has, or null. */
    static Class<?> firstClass(String... names) {
        for (String name : names) {
            try {
                return Class.forName(name);
            } catch (ClassNotFoundException e) {
                // the next, then
            }
        }
        return null;
    }

    private static RuntimeException unchecked(Throwable cause) {
        if (cause instanceof Error error) throw error;
        return cause instanceof RuntimeException e ? e : new IllegalStateException(cause);
    }
}
