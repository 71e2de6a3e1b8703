//! The console and its visitors, over plain connections: no visitor can keep others out, a session ends when its user
//! signs out, and any number of viewers cost one query.

use crate::console::{Console, TOKEN};
use crate::program::{Program, command};
use pg_workflow_tests::{Server, with_database};
use sqlx::Executor;
use sqlx::postgres::{PgPool, PgPoolOptions};
use std::process::Stdio;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

/// What the console answers.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    /// Returns a cookie that it sets, with its attributes.
    fn cookie(&self, name: &str) -> Option<(String, String)> {
        let lines = self.head.lines().filter_map(|line| line.strip_prefix("set-cookie: "));
        lines.filter_map(|line| line.split_once('=')).find(|(key, _)| key.starts_with(name)).map(|(key, rest)| {
            let (value, rules) = rest.split_once("; ").unwrap();
            (format!("{key}={value}"), rules.to_owned())
        })
    }
}

impl Console {
    fn place(&self) -> &str {
        self.address.strip_prefix("http://").unwrap()
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.place()).await.unwrap()
    }

    /// Sends a request with these headers.
    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut stream = self.connect().await;
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
        if !headers.iter().any(|(name, _)| *name == "host") {
            request += &format!("host: {}\r\n", self.place());
        }
        if method == "POST" {
            request += "content-type: application/x-www-form-urlencoded\r\n";
        }
        headers.iter().for_each(|(name, value)| request += &format!("{name}: {value}\r\n"));
        stream.write_all(format!("{request}\r\n{body}").as_bytes()).await.unwrap();
        read(&mut stream).await
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask("GET", path, headers, "").await
    }
}

/// Reads an answer, to the end of the connection.
async fn read(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// Returns a command that may open this many files.
fn with_files(command: &Command, files: u32) -> Command {
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit -n {files} && exec \"$0\" \"$@\"")]);
    let inner = command.as_std();
    limited.arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited
}

#[tokio::test]
async fn a_client_that_sends_half_a_request_does_not_block_the_console() {
    with_database(async |db| {
        let program = Program::new(db, "console_slow");
        let command = program.command(&["console", "--listen", "127.0.0.1:0", "--request-timeout", "2s"]);
        let mut command = with_files(&command, 100);
        let console = Console::start(command.stderr(Stdio::null())).await;
        let mut halves = Vec::new();
        for number in 0..150 {
            let mut stream = console.connect().await;
            // Some send nothing at all. A connection beyond the limit may be closed before this.
            let said: &[u8] = if number % 3 == 0 { b"" } else { b"GET / HTTP/1.1\r\nhost: localhost\r\nx-slow: " };
            let _ = stream.write_all(said).await;
            halves.push(stream);
        }
        // A visitor who arrives in the meantime gets an answer: the page, if some of these connections have been closed
        // already.
        let answer = console.get("/", &[]).await;
        assert!([200, 503].contains(&answer.status), "{}", answer.head);
        // The console closes requests that never end, and refuses at once those for which there was no room.
        let mut refused = 0;
        for mut stream in halves {
            let mut said = Vec::new();
            let _ = stream.read_to_end(&mut said).await;
            let said = String::from_utf8(said).unwrap();
            let busy =
                said.starts_with("HTTP/1.1 503 ") && said.contains("retry-after") && said.contains("too many visitors");
            assert!(busy || said.is_empty() || said.starts_with("HTTP/1.1 408"), "{said}");
            refused += usize::from(busy);
        }
        assert!(refused > 0, "more were let in than the process may open files");
        assert_eq!(console.get("/", &[]).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn a_client_that_reads_no_answer_does_not_block_the_console() {
    with_database(async |db| {
        for statement in [
            "SELECT workflow_define('{ref: shop.it, label: It, version: 1.0.0, tasks: [{name: a, wait_for: {signal: go}}]}')",
            "SELECT workflow_start('shop.it')",
            "SELECT workflow_signal(1, 'go', (SELECT to_jsonb(string_agg(md5(n::text), '')) FROM generate_series(1, 250000) AS n))",
        ] {
            db.run(statement).await;
        }
        let program = Program::new(db, "console_untaken");
        let bounds = ["--request-timeout", "1s", "--max-connections", "1"];
        let command = [&["console", "--listen", "127.0.0.1:0"], &bounds[..]].concat();
        let console = Console::start(&mut program.command(&command)).await;
        let mut idle = console.connect().await;
        let request = format!("GET /executions/1/tasks/1/data/result HTTP/1.1\r\nhost: {}\r\n\r\n", console.place());
        idle.write_all(request.as_bytes()).await.unwrap();
        let mut first = [0; 15];
        idle.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200 OK");
        assert_eq!(console.get("/", &[]).await.status, 503, "there is room for one");
        while console.get("/", &[]).await.status != 200 {}
        drop(idle);
    })
    .await;
}

#[tokio::test]
async fn a_form_that_does_not_end_is_given_up() {
    with_database(async |db| {
        let program = Program::new(db, "console_slow_form");
        let mut command = program.command(&["console", "--listen", "127.0.0.1:0", "--request-timeout", "500ms"]);
        command.env("PG_WORKFLOW_CONSOLE_TOKEN", TOKEN);
        let console = Console::start(&mut command).await;
        let mut stream = console.connect().await;
        let form = "content-type: application/x-www-form-urlencoded\r\ncontent-length: 1000\r\nconnection: close\r\n";
        stream
            .write_all(format!("POST /sign-in HTTP/1.1\r\nhost: {}\r\n{form}\r\nperson=", console.place()).as_bytes())
            .await
            .unwrap();
        let answer = read(&mut stream).await;
        assert_eq!(answer.status, 408);
        assert!(answer.body.contains("did not arrive in time"), "{}", answer.body);
    })
    .await;
}

#[tokio::test]
async fn a_session_is_over_once_somebody_has_signed_out() {
    with_database(async |db| {
        let program = Program::new(db, "console_sign_out");
        let token = program.file("token", TOKEN);
        let start = async || {
            Console::start(&mut program.command(&["console", "--listen", "127.0.0.1:0", "--token-file", &token])).await
        };
        let console = start().await;
        let form = format!("person=Maria&token={}", TOKEN.replace(' ', "+"));
        let answer = console.ask("POST", "/sign-in", &[], &form).await;
        let port = console.place().rsplit_once(':').unwrap().1;
        let (cookie, rules) = answer.cookie("pg_workflow_session").unwrap();
        assert!(
            cookie.starts_with(&format!("pg_workflow_session_{port}=")),
            "another console has another cookie: {cookie}"
        );
        assert!(rules.contains("HttpOnly; SameSite=Strict") && !rules.contains("Secure"), "{rules}");
        let headers = [("cookie", cookie.as_str())];
        assert_eq!(console.get("/", &headers).await.status, 200);
        let (other, _) = console.ask("POST", "/sign-in", &[], &form).await.cookie("pg_workflow_session").unwrap();

        // Another site cannot sign anybody out.
        let foreign = [("cookie", cookie.as_str()), ("origin", "http://evil.example")];
        console.ask("POST", "/sign-out", &foreign, "").await;
        assert_eq!(console.get("/", &headers).await.status, 200);
        console.ask("POST", "/sign-out", &headers, "").await;
        assert_eq!(console.get("/", &headers).await.status, 303, "a copy of its cookie is worth nothing");
        assert_eq!(console.get("/", &[("cookie", &other)]).await.status, 200, "others stay signed in");
        // A cookie is not valid after a restart either, which forgets all sessions.
        drop(console);
        let console = start().await;
        for cookie in [cookie, other] {
            let (_, value) = cookie.split_once('=').unwrap();
            let port = console.place().rsplit_once(':').unwrap().1;
            let cookie = format!("pg_workflow_session_{port}={value}");
            assert_eq!(console.get("/", &[("cookie", &cookie)]).await.status, 303);
        }
        // If the browser uses TLS, the cookie is sent over TLS only.
        let host = ("x-forwarded-host", "flow.example");
        let answer = console.ask("POST", "/sign-in", &[host, ("origin", "https://flow.example")], &form).await;
        assert!(answer.cookie("pg_workflow_session").unwrap().1.ends_with("; Secure"));
    })
    .await;
}

#[tokio::test]
async fn cookies_are_secure_where_the_proxy_says_that_the_browser_speaks_tls() {
    with_database(async |db| {
        let program = Program::new(db, "console_secure");
        let rules = async |arguments: &[&str], headers: &[(&str, &str)]| {
            let arguments = [&["console", "--listen", "127.0.0.1:0"], arguments].concat();
            let console = Console::start(&mut program.command(&arguments)).await;
            console.get("/", headers).await.cookie("pg_workflow_session").unwrap().1
        };
        let tls = ("x-forwarded-proto", "https");
        let person = ("x-forwarded-user", "maria");
        let proxy = ["--person-header", "X-Forwarded-User"];
        assert!(rules(&proxy, &[person, tls]).await.ends_with("; Secure"));
        assert!(!rules(&proxy, &[person]).await.contains("Secure"));
        // Without a proxy, anybody can set the header.
        assert!(!rules(&[], &[tls]).await.contains("Secure"));
    })
    .await;
}

/// Counts the console's statements on a server that nobody else uses, because anything committed on a server counts as
/// a possible change.
struct Counted {
    server: Server,
    pool: PgPool,
    read: usize,
}

impl Counted {
    async fn create() -> Counted {
        let server = Server::create("console_statements", &["autovacuum = off", "shared_preload_libraries = ''"]);
        let pool = PgPoolOptions::new().connect_with(server.options.clone()).await.unwrap();
        Counted { server, pool, read: 0 }
    }

    async fn run(&self, sql: &'static str) {
        self.pool.execute(sql).await.unwrap();
    }

    /// Starts a console whose statements are logged.
    async fn console(&self, refresh: &str) -> Console {
        let options = &self.server.options;
        let (user, host, port) = (options.get_username(), options.get_host(), options.get_port());
        let mut command = command(&["console", "--listen", "127.0.0.1:0", "--refresh", refresh]);
        command.env("DATABASE_URL", format!("postgres://{user}@{host}:{port}/postgres"));
        Console::start(command.env("PGOPTIONS", "-c log_statement=all")).await
    }

    /// Returns the statements since the last time. The log is written before an answer is sent.
    fn statements(&mut self) -> Vec<String> {
        let log = self.server.log();
        let is_statement = |line: &&str| line.contains("execute ") || line.contains("LOG:  statement: ");
        let statements: Vec<String> = log.lines().filter(is_statement).map(str::to_owned).collect();
        let new = statements[self.read..].to_vec();
        self.read = statements.len();
        new
    }
}

#[tokio::test]
async fn while_nothing_changes_all_viewers_together_cost_one_statement_per_refresh() {
    if pg_workflow_tests::major() != 15 {
        println!("skipped: the console is tested on PostgreSQL 15");
        return;
    }
    let mut counted = Counted::create().await;
    counted.run("CREATE EXTENSION pg_workflow").await;
    counted.run("SELECT workflow_register_action('shop.mail')").await;
    counted.run("SELECT workflow_define('{ref: shop.it, label: It, version: 1.0.0, tasks: [{name: a, action: shop.mail}]}')").await;
    counted.run("SELECT workflow_start_many('shop.it', array_fill('{}'::jsonb, ARRAY[20]))").await;
    let pages = ["/", "/executions", "/work", "/approvals", "/definitions/shop.it", "/executions/1"];

    // With a refresh interval of zero, each look is one statement.
    let console = counted.console("0s").await;
    for page in pages {
        let whole = console.get(page, &[]).await;
        let version = whole.body.split_once("data-version=\"").unwrap().1.split_once('"').unwrap().0.to_owned();
        counted.statements();
        for _ in 0..3 {
            let answer = console.get(page, &[("x-live", &version)]).await;
            assert!([200, 204].contains(&answer.status), "{page}: {}", answer.head);
            let statements = counted.statements();
            assert_eq!(statements.len(), 1, "{page}: {statements:?}");
        }
    }
    drop(console);

    // Within the refresh interval, ten people on each page cost nothing at all.
    let console = counted.console("1h").await;
    for page in pages {
        console.get(page, &[]).await;
    }
    counted.statements();
    // A running execution is drawn again after a few seconds.
    for page in pages[..5].iter().cycle().take(50) {
        assert_eq!(console.get(page, &[("x-live", "-")]).await.status, 200);
    }
    let statements = counted.statements();
    assert!(statements.is_empty(), "{statements:?}");
    // Whoever opens a page sees the current state.
    counted.run("SELECT workflow_start('shop.it')").await;
    let answer = console.get("/executions", &[]).await;
    assert!(answer.body.contains("/executions/21\""), "the newest execution is missing");
}

#[tokio::test]
async fn at_a_standby_pages_are_shown_and_actions_refused() {
    let server = Server::create("console_standby", &[]);
    let options = &server.options;
    let url = format!("postgres://{}@{}:{}/postgres", options.get_username(), options.get_host(), options.get_port());
    let pool = PgPool::connect_with(options.clone()).await.unwrap();
    for sql in [
        "CREATE EXTENSION pg_workflow",
        "SELECT workflow_define('{ref: shop.it, label: It, version: 1.0.0, tasks: [{name: a, wait_for: {signal: go}}]}')",
        "SELECT workflow_start('shop.it')",
    ] {
        pool.execute(sql).await.unwrap();
    }
    pool.close().await;
    server.make_standby();
    let console = Console::start(&mut command(&["console", "--listen", "127.0.0.1:0", "--url", &url])).await;
    for path in [
        "/",
        "/executions",
        "/executions/1/tasks/1",
        "/approvals",
        "/approvals/1",
        "/jobs",
        "/definitions",
        "/definitions/shop.it",
        "/schedules",
        "/limits",
        "/work",
        "/check",
    ] {
        let answer = console.get(path, &[]).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    }
    let page = console.get("/executions/1", &[]).await;
    let (cookie, _) = page.cookie("pg_workflow_session").unwrap();
    let token = page.body.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let refused = |status: u16, body: &str| {
        assert_eq!(status, 409, "{body}");
        assert!(body.contains("nothing can be changed on this server: it is a standby, or read-only"), "{body}");
    };
    for (path, body) in [
        ("/executions/1/pause", "reason=x"),
        ("/executions/1/cancel", "reason=x"),
        ("/executions/1/signal", "signal=go&payload=1"),
        ("/approvals/1", "value=1"),
        ("/definitions/shop.it/start", "parameters={}"),
        ("/limits", "name=few&max_running=1"),
    ] {
        let body = format!("csrf={token}&back=/executions/1&form={}&{body}", path.rsplit('/').next().unwrap());
        let answer = console.ask("POST", path, &[("cookie", &cookie)], &body).await;
        refused(answer.status, &answer.body);
    }
    let told = |output: std::process::Output| {
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (status, said) = told(command(&["pause", "1", "--url", &url]).output().await.unwrap());
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("in a read-only transaction\n  hint: This server is a standby, or "), "{said}");
    let (_, said) = told(command(&["doctor", "--url", &url]).output().await.unwrap());
    assert!(said.contains("; it is a standby, so nothing can be changed here"), "{said}");
}
