import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.BiFunction;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * A function of ours, like many: a stem loads it as it will load the function's own classes, and
 * runs it, so that the JVM has linked what almost every function uses. Texts put together with `+`
 * and lambdas alone cost a JVM ten milliseconds when it meets the first ones.
 */
public final class Rehearsal implements Supplier<String> {
    private final Map<String, Object> seen = new ConcurrentHashMap<>();

    @Override
    public String get() {
        String name = "world";
        Object thing = 1.5;
        int count = 3;
        long time = System.currentTimeMillis();
        List<String> texts = new ArrayList<>();
        texts.add("Hello " + name);
        texts.add(name + "!");
        texts.add("Hello, " + name + "!");
        texts.add(name + thing);
        texts.add("a " + thing + " of " + name);
        texts.add("n=" + count + ", t=" + time);
        texts.add(name + "/" + count + "/" + thing + "/" + time + "/" + name + true + 'c');
        BiFunction<String, Integer, String> joined = (text, number) -> text + number;
        texts.add(joined.apply(name, count));
        Map<String, Object> map = new HashMap<>(Map.of("a", List.of(1, 2)));
        map.computeIfAbsent("b", key -> new TreeMap<>());
        map.forEach((key, value) -> seen.put(key, value.toString()));
        texts.add(Stream.of(3, 1, 2).sorted().map(String::valueOf).filter(text -> !text.isEmpty()).collect(Collectors.joining(",")));
        texts.sort(Comparator.comparing(String::toString));
        texts.add(String.format(Locale.ROOT, "%s %d %.2f", name, count, thing));
        return String.join("\n", texts) + new String(name.getBytes(StandardCharsets.UTF_8), StandardCharsets.UTF_8).length();
    }
}
