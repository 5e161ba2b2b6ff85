import java.util.Map;

public class Hello {
    public Object handle(Map<String, Object> event) { return event; }

    public static void main(String[] words) { System.out.println(1); }
}
