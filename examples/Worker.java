// A worker in Java, over the JSON functions of the work protocol and JDBC, with nothing but the driver.
//
//     javac Worker.java
//     JDBC_URL=jdbc:postgresql://... java -cp .:postgresql.jar Worker
//
// One call per round reports what has finished and claims the next tasks. A second connection renews the leases. With nothing to
// do, the worker announces that it is idle and waits for a hint. Interrupt it (SIGTERM) and it finishes what it has claimed.
import java.sql.*;
import java.util.*;
import java.util.concurrent.*;
import org.postgresql.PGConnection;

public class Worker {
    /** A claimed task. Input and progress are JSON; the traceparent, if there is one, belongs into the headers of calls to others. */
    record Task(String id, String lease, String action, String input, int attempt, String progress, String traceparent) {}

    /** Returns the result as JSON. What it throws is the failure. */
    interface Handler { String handle(Task task) throws Exception; }

    static final Map<String, Handler> HANDLERS = Map.of(
        "ci.lint", task -> "{\"warnings\": 0}",
        "ci.scan", task -> "{\"critical\": " + (task.input().contains("legacy") ? 1 : 0) + "}",
        "demo.echo", task -> "{\"input\": " + task.input() + ", \"traceparent\": " + quote(task.traceparent()) + "}");

    static final String EXCHANGE = """
        SELECT t ->> 'task', t ->> 'lease_token', t ->> 'action', (t -> 'input')::text, (t ->> 'attempt')::int,
          (t -> 'progress')::text, t ->> 'traceparent'
        FROM jsonb_array_elements(workflow_finish_and_claim_json(?, ?::jsonb, 10, ?) -> 'tasks') AS t""";

    static final Map<String, Task> held = new ConcurrentHashMap<>();
    static volatile boolean draining = false;

    public static void main(String[] arguments) throws Exception {
        Thread main = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            draining = true;
            try { main.join(20_000); } catch (InterruptedException ignored) { }
        }));
        Thread renewing = new Thread(Worker::renew);
        renewing.setDaemon(true);
        renewing.start();
        List<String> outbox = new ArrayList<>();
        while (!draining || !outbox.isEmpty()) {
            try (Connection db = DriverManager.getConnection(System.getenv("JDBC_URL"))) {
                run(db, "LISTEN pg_workflow");
                boolean isAnnounced = false;
                while (!draining || !outbox.isEmpty()) {
                    List<Task> tasks = exchange(db, outbox);
                    for (Task task : tasks) outbox.add(outcome(task));
                    if (!tasks.isEmpty() || draining) continue;
                    // What is queued from the announcement on is hinted at; what was queued before is found by looking once more.
                    if (isAnnounced) db.unwrap(PGConnection.class).getNotifications(1000);
                    else run(db, "SELECT workflow_tick()");
                    isAnnounced = !isAnnounced;
                    announce(db, isAnnounced ? HANDLERS.keySet() : Set.of());
                }
            } catch (SQLException lost) {
                // Reports that may not have arrived are sent again, and get the same answer.
                System.err.println(lost.getMessage());
                Thread.sleep(500);
            }
        }
    }

    /** Reports, and claims unless the worker drains. */
    static List<Task> exchange(Connection db, List<String> outbox) throws SQLException {
        String outcomes = "[" + String.join(",", outbox) + "]";
        List<Task> tasks = new ArrayList<>();
        if (draining) {
            try (PreparedStatement finish = db.prepareStatement("SELECT workflow_finish_json(?::jsonb)")) {
                finish.setString(1, outcomes);
                finish.execute();
            }
        } else {
            try (PreparedStatement exchange = db.prepareStatement(EXCHANGE)) {
                exchange.setString(1, "java " + ProcessHandle.current().pid());
                exchange.setString(2, outcomes);
                exchange.setArray(3, db.createArrayOf("text", HANDLERS.keySet().toArray()));
                ResultSet r = exchange.executeQuery();
                while (r.next()) {
                    tasks.add(new Task(r.getString(1), r.getString(2), r.getString(3), r.getString(4), r.getInt(5), r.getString(6),
                        r.getString(7)));
                }
            }
        }
        outbox.clear();
        tasks.forEach(task -> held.put(task.id(), task));
        return tasks;
    }

    /** Executes a task. */
    static String outcome(Task task) {
        String head = "{\"task\": " + quote(task.id()) + ", \"lease_token\": " + quote(task.lease()) + ", \"status\": ";
        try {
            return head + "\"completed\", \"result\": " + HANDLERS.get(task.action()).handle(task) + "}";
        } catch (Exception error) {
            String failure = "{\"type\": " + quote(error.getClass().getSimpleName()) + ", \"message\": " + quote(error.getMessage()) + "}";
            return head + "\"failed\", \"error\": " + failure + "}";
        } finally {
            held.remove(task.id());
        }
    }

    /** Announces for which actions the worker is idle; none: it is not. */
    static void announce(Connection db, Set<String> actions) throws SQLException {
        try (PreparedStatement announce = db.prepareStatement("SELECT workflow_announce_idle(?)")) {
            announce.setArray(1, db.createArrayOf("text", actions.toArray()));
            announce.execute();
        }
    }

    /** Renews the leases of what has been claimed. A fourth argument could say how far each has got. */
    static void renew() {
        while (true) {
            try (Connection db = DriverManager.getConnection(System.getenv("JDBC_URL"));
                 PreparedStatement beat = db.prepareStatement("SELECT * FROM workflow_heartbeat(?, ?)")) {
                while (true) {
                    Thread.sleep(10_000);
                    List<Task> tasks = List.copyOf(held.values());
                    beat.setArray(1, db.createArrayOf("bigint", tasks.stream().map(task -> Long.valueOf(task.id())).toArray()));
                    beat.setArray(2, db.createArrayOf("bigint", tasks.stream().map(task -> Long.valueOf(task.lease())).toArray()));
                    beat.execute();
                }
            } catch (SQLException lost) {
                System.err.println(lost.getMessage());
            } catch (InterruptedException end) {
                return;
            }
        }
    }

    static void run(Connection db, String sql) throws SQLException {
        try (Statement statement = db.createStatement()) { statement.execute(sql); }
    }

    /** Writes a text as JSON. */
    static String quote(String text) {
        if (text == null) return "null";
        StringBuilder json = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') json.append('\\').append(c);
            else if (c < ' ') json.append(c == 0 ? "\\ufffd" : String.format("\\u%04x", (int) c));
            else json.append(c);
        }
        return json.append('"').toString();
    }
}
