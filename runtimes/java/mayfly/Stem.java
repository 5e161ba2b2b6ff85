package mayfly;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.net.Socket;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.security.Security;
import java.util.Enumeration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.ServiceLoader;
import java.util.TimeZone;
import java.util.function.Supplier;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;

/**
 * A JVM that waits for its function: it loads what AWS's runtime interface client needs, asks the
 * platform for the environment of a function, becomes that environment and goes on as the client.
 *
 * The client keeps variables in constants, so none of its classes that read them may be initialised
 * before: they are loaded only. What is the same for every function (JSON, the native part, sockets)
 * runs once.
 */
public final class Stem {
    private static final String CLIENT = "com.amazonaws.services.lambda.runtime.api.client.";
    private static final String JACKSON = "com.amazonaws.services.lambda.runtime.serialization.factories.JacksonFactory";
    private static final String DEFAULT_API = "127.0.0.1:9001";
    private static final String AWS_PATH = "/usr/local/bin:/usr/bin/:/bin:/opt/bin";
    private static final int ENVIRONMENT_MAX = 1 << 20;
    private static final int REHEARSALS = 3;

    /** Classes that the client initialises in any case and that read no variables. */
    private static final String[] CONSTANT = {
        "com.amazonaws.services.lambda.runtime.LambdaRuntime",
        "com.amazonaws.services.lambda.runtime.LambdaRuntimeInternal",
        "com.amazonaws.services.lambda.runtime.logging.LogFormat",
        "com.amazonaws.services.lambda.runtime.logging.LogLevel",
        "com.amazonaws.services.lambda.runtime.serialization.util.ReflectUtil",
        CLIENT + "util.UnsafeUtil",
        CLIENT + "EventHandlerLoader",
        CLIENT + "PojoSerializerLoader",
    };

    private Stem() {
    }

    public static void main(String[] args) throws Throwable {
        String api = System.getenv("AWS_LAMBDA_RUNTIME_API");
        warm(api == null ? DEFAULT_API : api);
        become(waitForFunction(api == null ? DEFAULT_API : api));
        Method main = Class.forName(CLIENT + "AWSLambda").getMethod("main", String[].class);
        try {
            main.invoke(null, (Object) new String[] {System.getenv("_HANDLER")});
        } catch (InvocationTargetException e) {
            throw e.getCause();
        }
    }

    /* ---- before there is a function ---- */

    private static void warm(String api) throws Exception {
        System.load(System.getProperty("mayfly.native"));
        // The first one that is set wakes the JVM's own logging, which takes long; the client sets one.
        Security.setProperty("mayfly.stem", "1");
        for (String path : System.getProperty("java.class.path").split(":")) {
            if (path.contains("runtime-interface-client")) {
                loadAll(path);
            }
        }
        Class.forName(CLIENT + "runtimeapi.LambdaRuntimeApiClientImpl").getConstructor(String.class).newInstance(api);
        for (String name : CONSTANT) {
            Class.forName(name);
        }
        warmJson();
        rehearse();
        System.gc();
    }

    /** What a function is made of, loaded as its classes are. */
    private static void rehearse() throws Exception {
        File folder = new File(System.getProperty("mayfly.native")).getParentFile();
        URL[] places = {folder.toURI().toURL(), new File(folder, "mayfly.jar").toURI().toURL()};
        try (URLClassLoader loader = new URLClassLoader(places, ClassLoader.getSystemClassLoader().getParent())) {
            loader.loadClass("mayfly.Warm");
            for (int i = 0; i < REHEARSALS; i++) {
                ((Supplier<?>) loader.loadClass("Rehearsal").getDeclaredConstructor().newInstance()).get();
            }
            ServiceLoader.load(Supplier.class, loader).iterator().hasNext();
        } catch (UnsupportedClassVersionError e) {
            // It is for Java 11 and later.
        }
    }

    private static void loadAll(String path) throws IOException {
        try (JarFile jar = new JarFile(path)) {
            for (Enumeration<JarEntry> entries = jar.entries(); entries.hasMoreElements();) {
                String name = entries.nextElement().getName();
                if (name.endsWith(".class") && !name.contains("graalvm") && !name.contains("META-INF")) {
                    load(name.substring(0, name.length() - ".class".length()).replace('/', '.'));
                }
            }
        }
    }

    private static void load(String name) {
        try {
            Class.forName(name, false, Stem.class.getClassLoader());
        } catch (ClassNotFoundException | LinkageError e) {
            // A class for another platform: the client gets along without it too.
        }
    }

    /** An event of every kind of JSON, there and back. */
    private static void warmJson() throws Exception {
        Class<?> type = Class.forName(JACKSON);
        Object factory = type.getMethod("getInstance").invoke(null);
        Object serializer = type.getMethod("getSerializer", Class.class).invoke(factory, Map.class);
        Class<?> kind = Class.forName("com.amazonaws.services.lambda.runtime.serialization.PojoSerializer");
        byte[] event = "{\"a\":[1,2.5,true,null,\"b\"],\"c\":{\"d\":\"\\u00e9\"}}".getBytes(StandardCharsets.UTF_8);
        Object value = kind.getMethod("fromJson", InputStream.class).invoke(serializer, new ByteArrayInputStream(event));
        kind.getMethod("toJson", Object.class, OutputStream.class).invoke(serializer, value, new ByteArrayOutputStream());
    }

    /* ---- waiting ---- */

    /** The variables of the function: the answer to one request, hours later perhaps. */
    private static Map<String, String> waitForFunction(String api) throws IOException {
        int colon = api.lastIndexOf(':');
        try (Socket socket = new Socket(api.substring(0, colon), Integer.parseInt(api.substring(colon + 1)))) {
            String request = "GET /2018-06-01/runtime/mayfly/stem HTTP/1.1\r\nHost: " + api + "\r\n\r\n";
            socket.getOutputStream().write(request.getBytes(StandardCharsets.US_ASCII));
            return readVariables(new DataInputStream(socket.getInputStream()));
        }
    }

    private static Map<String, String> readVariables(DataInputStream in) throws IOException {
        String first = readLine(in);
        int size = -1;
        for (String line = readLine(in); !line.isEmpty(); line = readLine(in)) {
            int colon = line.indexOf(':');
            if (colon > 0 && line.substring(0, colon).equalsIgnoreCase("Content-Length")) {
                size = Integer.parseInt(line.substring(colon + 1).trim());
            }
        }
        if (!first.startsWith("HTTP/1.1 200 ") || size < 0 || size > ENVIRONMENT_MAX) {
            throw new IOException("the platform answered with no environment: " + first);
        }
        byte[] block = new byte[size];
        in.readFully(block);
        Map<String, String> variables = new LinkedHashMap<>();
        for (String word : new String(block, StandardCharsets.UTF_8).split("\0")) {
            int equals = word.indexOf('=');
            if (equals > 0) {
                variables.put(word.substring(0, equals), word.substring(equals + 1));
            }
        }
        return variables;
    }

    private static String readLine(InputStream in) throws IOException {
        StringBuilder line = new StringBuilder();
        for (int c = in.read(); c != '\n'; c = in.read()) {
            if (c < 0) {
                throw new EOFException("the platform closed the connection");
            }
            if (c != '\r') {
                line.append((char) c);
            }
        }
        return line.toString();
    }

    /* ---- becoming the function's environment ---- */

    private static void become(Map<String, String> variables) throws Exception {
        if (AWS_PATH.equals(variables.get("PATH"))) { // as `start` does
            variables.put("PATH", System.getProperty("java.home") + "/bin:" + AWS_PATH);
        }
        replaceEnvironment(variables);
        String task = variables.getOrDefault("LAMBDA_TASK_ROOT", "/var/task");
        if (!enterFolder(task)) {
            throw new IOException("cannot enter " + task);
        }
        System.clearProperty("user.timezone"); // TZ is read again
        TimeZone.setDefault(null);
    }

    /** Both views of it: what Java has copied, and what native code reads. */
    private static void replaceEnvironment(Map<String, String> variables) throws Exception {
        Field inner = System.getenv().getClass().getDeclaredField("m");
        inner.setAccessible(true);
        @SuppressWarnings("unchecked")
        Map<String, String> environment = (Map<String, String>) inner.get(System.getenv());
        environment.clear();
        environment.putAll(variables);
        clearVariables();
        for (Map.Entry<String, String> variable : variables.entrySet()) {
            setVariable(variable.getKey().getBytes(StandardCharsets.UTF_8), variable.getValue().getBytes(StandardCharsets.UTF_8));
        }
    }

    private static native boolean enterFolder(String path);

    private static native void clearVariables();

    private static native void setVariable(byte[] name, byte[] value);
}
