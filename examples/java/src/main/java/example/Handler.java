package example;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import java.util.Collections;
import java.util.Map;

public class Handler implements RequestHandler<Map<String, String>, Map<String, String>> {
    @Override
    public Map<String, String> handleRequest(Map<String, String> event, Context context) {
        String name = event.getOrDefault("name", "world");
        context.getLogger().log("greeting " + name + ", " + context.getRemainingTimeInMillis() + " ms left\n");
        return Collections.singletonMap("message", "Hello, " + name + "!");
    }
}
