package mayfly;

import java.util.LinkedHashMap;
import java.util.Map;

/** The function that is run while classes are collected for an archive; see Train. */
public final class Warm {
    public Map<String, Object> handle(Map<String, Object> event) {
        if (event.containsKey("fail")) {
            throw new IllegalStateException("as it is meant to");
        }
        System.out.println("warm");
        Map<String, Object> answer = new LinkedHashMap<>(event);
        answer.put("answer", 1);
        return answer;
    }
}
