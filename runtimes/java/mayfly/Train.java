package mayfly;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * Runs the command line it is given as an environment of Lambda's, plays the platform to it until it
 * has served a few events, and ends it in order, so that it writes the archive of its classes.
 */
public final class Train {
    private static final String[] EVENTS = {"{\"a\":[1,2.5,true,null,\"b\"]}", "{\"fail\":{}}", "{}"};
    private static final int SECONDS_MAX = 60;

    private Train() {
    }

    public static void main(String[] command) throws Exception {
        try (ServerSocket listener = new ServerSocket(0, 8, InetAddress.getByName("127.0.0.1"))) {
            listener.setSoTimeout(SECONDS_MAX * 1000);
            ProcessBuilder builder = new ProcessBuilder(command).inheritIO();
            Map<String, String> environment = builder.environment();
            environment.put("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:" + listener.getLocalPort());
            Process process = builder.start();
            try {
                int served = 0;
                while (served < EVENTS.length) {
                    served += serve(listener, environment, served);
                }
            } finally {
                process.destroy(); // SIGTERM: a JVM ends in order
                if (!process.waitFor(SECONDS_MAX, TimeUnit.SECONDS)) {
                    process.destroyForcibly();
                }
            }
        }
    }

    /** One connection until it is closed, or all events are served: how many it had answered. */
    private static int serve(ServerSocket listener, Map<String, String> environment, int first) throws IOException {
        int served = 0;
        try (Socket socket = listener.accept()) {
            socket.setSoTimeout(SECONDS_MAX * 1000);
            InputStream in = socket.getInputStream();
            for (String target = readRequest(in); target != null; target = readRequest(in)) {
                if (target.startsWith("POST ")) {
                    served++;
                    answer(socket, "202 Accepted", "", "{}".getBytes(StandardCharsets.UTF_8));
                    // The client reports errors on another connection, and waits on this one for events.
                    if (target.endsWith("/error")) {
                        return served;
                    }
                } else if (target.endsWith("/stem")) {
                    answer(socket, "200 OK", "", block(environment));
                } else if (first + served == EVENTS.length) {
                    return served;
                } else {
                    answer(socket, "200 OK", event(), EVENTS[first + served].getBytes(StandardCharsets.UTF_8));
                    if (EVENTS[first + served].contains("fail")) {
                        return served + serve(listener, environment, first + served);
                    }
                }
            }
        }
        return served;
    }

    private static String event() {
        return "Lambda-Runtime-Aws-Request-Id: 00000000-0000-4000-8000-000000000000\r\n"
            + "Lambda-Runtime-Deadline-Ms: " + (System.currentTimeMillis() + SECONDS_MAX * 1000) + "\r\n"
            + "Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:000000000000:function:warm\r\n"
            + "Lambda-Runtime-Trace-Id: Root=1-00000000-000000000000000000000000\r\n"
            + "Content-Type: application/json\r\n";
    }

    private static byte[] block(Map<String, String> environment) {
        StringBuilder text = new StringBuilder();
        for (Map.Entry<String, String> variable : environment.entrySet()) {
            if (!variable.getKey().startsWith("MAYFLY_")) {
                text.append(variable.getKey()).append('=').append(variable.getValue()).append('\0');
            }
        }
        return text.toString().getBytes(StandardCharsets.UTF_8);
    }

    private static void answer(Socket socket, String status, String fields, byte[] body) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        String head = "HTTP/1.1 " + status + "\r\n" + fields + "Content-Length: " + body.length + "\r\n\r\n";
        out.write(head.getBytes(StandardCharsets.US_ASCII));
        out.write(body);
        socket.getOutputStream().write(out.toByteArray());
    }

    /** "METHOD target" of the next request, its body skipped; null at the end. */
    private static String readRequest(InputStream in) throws IOException {
        String first = null;
        long size = 0;
        StringBuilder line = new StringBuilder();
        for (int c = in.read(); c >= 0; c = in.read()) {
            if (c == '\r') {
                continue;
            }
            if (c != '\n') {
                line.append((char) c);
                continue;
            }
            String text = line.toString();
            line.setLength(0);
            if (first == null) {
                first = text.substring(0, text.lastIndexOf(' '));
            } else if (text.toLowerCase().startsWith("content-length:")) {
                size = Long.parseLong(text.substring(text.indexOf(':') + 1).trim());
            } else if (text.isEmpty()) {
                for (; size > 0 && in.read() >= 0; size--) {
                    // the body
                }
                return first;
            }
        }
        return null;
    }
}
