// A worker in Java, over the JSON functions of the work protocol and JDBC, with nothing but the driver.
//
//     javac Worker.java
//     JDBC_URL=jdbc:postgresql://... java -cp .:postgresql.jar Worker
//
// One call per round reports what has finished and claims the next tasks, which are executed one after another. A second connection
// renews the leases and stores the progress of each task. With nothing to do, the worker announces that it is idle and waits to be
// notified. SIGTERM drains: nothing new is claimed, and claimed tasks are finished and reported.
//
// Settings: WORKER_LEASE in seconds (30).
import java.sql.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.Collectors;
import org.postgresql.PGConnection;

public class Worker {
    /**
     * A claimed task. Input and progress are JSON. Progress is what an earlier attempt noted. The traceparent, if there is one, belongs
     * in the headers of calls to other services.
     */
    record Task(String id, String lease, String action, String input, int attempt, String progress, String traceparent, State state) {
        /** Records the progress of the handler, as JSON. The next heartbeat stores it, and so does the report of a failure. */
        void note(String progress) { state.noted = progress; }

        /** Whether the result no longer matters: the workflow is being stopped, or another worker has the task. */
        boolean isStopped() { return state.stopped; }
    }

    /** State shared by the handler and the heartbeats. */
    static class State {
        volatile String noted;
        volatile boolean stopped;
    }

    /** Returns the result as JSON. What it throws is the failure. */
    interface Handler { String handle(Task task) throws Exception; }

    static final Map<String, Handler> HANDLERS = Map.of(
        "ci.lint", task -> "{\"warnings\": 0}",
        "ci.scan", task -> "{\"critical\": " + (task.input().contains("legacy") ? 1 : 0) + "}",
        "demo.echo", task -> "{\"input\": " + task.input() + ", \"traceparent\": " + quote(task.traceparent()) + "}",
        "demo.wait", Worker::pause);

    /** Long work: it checks whether it is stopped, records its progress, and continues where an earlier attempt left off. */
    static String pause(Task task) throws Exception {
        int seconds = number(task.input());
        for (int done = number(task.progress()); done < seconds; task.note("{\"seconds\": " + ++done + "}")) {
            if (task.isStopped()) throw new CancellationException("told to stop");
            Thread.sleep(1000);
        }
        return "{\"waited\": " + seconds + "}";
    }

    /** Reads {"seconds": 4}. Real handlers have a library for JSON. */
    static int number(String json) { return json == null ? 0 : Integer.parseInt(json.replaceAll("[^0-9]", "")); }

    static final String EXCHANGE = """
        SELECT t ->> 'task', t ->> 'lease_token', t ->> 'action', (t -> 'input')::text, (t ->> 'attempt')::int,
          nullif(t -> 'progress', 'null')::text, t ->> 'traceparent'
        FROM jsonb_array_elements(workflow_finish_and_claim_json(?, ?::jsonb, 10, ?, make_interval(secs => ?)) -> 'tasks') AS t""";

    static final double LEASE = Double.parseDouble(System.getenv().getOrDefault("WORKER_LEASE", "30"));
    static final String HEARTBEAT = "SELECT state FROM workflow_heartbeat(?, ?, make_interval(secs => ?), ?)";

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
        List<Report> outbox = new ArrayList<>();
        while (!draining || !outbox.isEmpty()) {
            try (Connection db = DriverManager.getConnection(System.getenv("JDBC_URL"))) {
                run(db, "LISTEN pg_workflow");
                boolean isAnnounced = false;
                while (!draining || !outbox.isEmpty()) {
                    List<Task> tasks;
                    try {
                        tasks = exchange(db, outbox);
                    } catch (SQLException refused) {
                        // Class 22 is data that PostgreSQL cannot read or store.
                        if (outbox.isEmpty() || !String.valueOf(refused.getSQLState()).startsWith("22")) throw refused;
                        System.err.println(refused.getMessage());
                        finishOneByOne(db, outbox);
                        continue;
                    }
                    for (Task task : tasks) outbox.add(outcome(task));
                    if (!tasks.isEmpty() || draining) continue;
                    // Hints are sent for tasks queued after the announcement; tasks queued before are found by looking once more.
                    if (isAnnounced) db.unwrap(PGConnection.class).getNotifications(1000);
                    else run(db, "SELECT workflow_tick()");
                    isAnnounced = !isAnnounced;
                    // Longer than the server withholds a hint that it has just sent.
                    if (isAnnounced) Thread.sleep(12);
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
    static List<Task> exchange(Connection db, List<Report> outbox) throws SQLException {
        String outcomes = outbox.stream().map(Report::json).collect(Collectors.joining(",", "[", "]"));
        List<Task> tasks = new ArrayList<>();
        if (draining) {
            finish(db, outcomes);
        } else {
            try (PreparedStatement exchange = db.prepareStatement(EXCHANGE)) {
                exchange.setString(1, "java " + ProcessHandle.current().pid());
                exchange.setString(2, outcomes);
                exchange.setArray(3, db.createArrayOf("text", HANDLERS.keySet().toArray()));
                exchange.setDouble(4, LEASE);
                ResultSet r = exchange.executeQuery();
                while (r.next()) {
                    tasks.add(new Task(r.getString(1), r.getString(2), r.getString(3), r.getString(4), r.getInt(5), r.getString(6),
                        r.getString(7), new State()));
                }
            }
        }
        outbox.clear();
        tasks.forEach(task -> held.put(task.id(), task));
        return tasks;
    }

    static void finish(Connection db, String outcomes) throws SQLException {
        try (PreparedStatement finish = db.prepareStatement("SELECT workflow_finish_json(?::jsonb)")) {
            finish.setString(1, outcomes);
            finish.execute();
        }
    }

    /** Reports a failure in place of each outcome that PostgreSQL cannot store, so that it does not spoil those beside it. */
    static void finishOneByOne(Connection db, List<Report> outbox) throws SQLException {
        while (!outbox.isEmpty()) {
            Report report = outbox.get(0);
            try {
                finish(db, "[" + report.json() + "]");
            } catch (SQLException refused) {
                if (!String.valueOf(refused.getSQLState()).startsWith("22")) throw refused;
                finish(db, "[" + new Report(report.task(), "\"failed\", \"error\": " + failure("report", refused.getMessage())).json() + "]");
            }
            outbox.remove(0);
        }
    }

    /** A report that has not been acknowledged yet: the task, and its status with what belongs to it. */
    record Report(Task task, String status) {
        String json() {
            return "{\"task\": " + quote(task.id()) + ", \"lease_token\": " + quote(task.lease()) + ", \"status\": " + status + "}";
        }
    }

    static String failure(String type, String message) {
        return "{\"type\": " + quote(type) + ", \"message\": " + quote(message) + "}";
    }

    /** Executes a task. */
    static Report outcome(Task task) {
        try {
            return new Report(task, "\"completed\", \"result\": " + HANDLERS.get(task.action()).handle(task));
        } catch (Exception error) {
            String status = error instanceof CancellationException ? "cancelled" : "failed";
            String failure = failure(error.getClass().getSimpleName(), error.getMessage());
            return new Report(task, quote(status) + ", \"error\": " + failure + ", \"progress\": " + task.state().noted);
        } finally {
            held.remove(task.id());
        }
    }

    /** Announces the actions for which the worker is idle; none means that it is not idle. */
    static void announce(Connection db, Set<String> actions) throws SQLException {
        try (PreparedStatement announce = db.prepareStatement("SELECT workflow_announce_idle(?)")) {
            announce.setArray(1, db.createArrayOf("text", actions.toArray()));
            announce.execute();
        }
    }

    /** Renews the leases of claimed tasks, stores their progress, and stops those whose result no longer matters. */
    static void renew() {
        while (true) {
            try (Connection db = DriverManager.getConnection(System.getenv("JDBC_URL"));
                 PreparedStatement beat = db.prepareStatement(HEARTBEAT)) {
                while (true) {
                    Thread.sleep((long) (LEASE * 1000 / 3));
                    List<Task> tasks = List.copyOf(held.values());
                    beat.setArray(1, db.createArrayOf("bigint", tasks.stream().map(task -> Long.valueOf(task.id())).toArray()));
                    beat.setArray(2, db.createArrayOf("bigint", tasks.stream().map(task -> Long.valueOf(task.lease())).toArray()));
                    beat.setDouble(3, LEASE);
                    beat.setArray(4, db.createArrayOf("jsonb", tasks.stream().map(task -> task.state().noted).toArray()));
                    ResultSet states;
                    try {
                        states = beat.executeQuery();
                    } catch (SQLException refused) {
                        if (db.isClosed()) throw refused;
                        // Progress that PostgreSQL cannot store must not cost the tasks their leases.
                        System.err.println(refused.getMessage());
                        for (Task task : tasks) task.state().noted = null;
                        beat.setNull(4, Types.ARRAY);
                        states = beat.executeQuery();
                    }
                    for (Task task : tasks) if (states.next() && !states.getString(1).equals("held")) task.state().stopped = true;
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
