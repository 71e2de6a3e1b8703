//! `pg-workflow mcp`: a server of the Model Context Protocol on standard input and output.

mod tools;

use crate::connect::{Connection, connect, patience, wait_for};
use crate::exit_status::{Ending, Failure};
use rmcp::model::{
    CallToolRequestParams, CallToolResult, Content, Implementation, ListToolsResult, PaginatedRequestParams,
    ServerCapabilities, ServerInfo, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler, ServiceExt};
use serde_json::Value;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};
use tokio::sync::Mutex;
use tokio::time::timeout;
use tools::TOOLS;

/// Serve the Model Context Protocol on standard input and output, for assistants
///
/// Read-only: its sessions can't write. With --allow-control, it also offers tools that start, signal, pause, resume,
/// cancel and rerun executions.
#[derive(clap::Args)]
pub struct Arguments {
    /// Also offer tools that change executions
    #[arg(long)]
    allow_control: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Serves until standard input ends.
pub fn run(arguments: Arguments) -> crate::Ended {
    wait_for(async {
        let mut options = arguments.connection.options()?;
        if !arguments.allow_control {
            options = options.options([("default_transaction_read_only", "on")]);
        }
        let server = Server { options, session: Mutex::default(), control: arguments.allow_control };
        let running = server.serve(rmcp::transport::stdio()).await.map_err(|_| {
            Failure::unusable("the client did not send an initialize request").hint(
                "This command is meant to be started by a client of the Model Context Protocol, not at a terminal.",
            )
        })?;
        running.waiting().await.map_err(Failure::unusable)?;
        Ok(Ending::Good)
    })?
}

struct Server {
    options: PgConnectOptions,
    /// The connection, made when it is needed: an assistant gets a readable error, and may try again.
    session: Mutex<Option<PgConnection>>,
    control: bool,
}

impl Server {
    fn tools(&self) -> impl Iterator<Item = &'static tools::Spec> {
        TOOLS.iter().filter(|tool| self.control || !tool.control)
    }

    /// Calls a tool on the connection, which another call may have lost, or begun and not finished.
    async fn call(&self, tool: &str, arguments: &Value) -> Result<Value, Failure> {
        let mut kept = self.session.lock().await;
        let mut alive = None;
        if let Some(mut session) = kept.take()
            && matches!(timeout(patience(), session.ping()).await, Ok(Ok(())))
        {
            alive = Some(session);
        }
        let mut session = match alive {
            Some(session) => session,
            None => connect(&self.options).await?,
        };
        let called = tools::call(tool, &mut session, arguments).await;
        *kept = Some(session);
        called
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerInfo {
        let instructions = "Workflows of pg_workflow, a durable workflow engine in PostgreSQL. Find executions with \
            list_executions, then ask execution_status, why_execution (what it waits for, and what to do about it), \
            list_tasks and list_events. Definitions are YAML: validate_definition and test_definition check drafts.";
        ServerInfo::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("pg-workflow", env!("CARGO_PKG_VERSION")))
            .with_instructions(instructions)
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools: Vec<Tool> = self.tools().map(tools::Spec::tool).collect();
        Ok(ListToolsResult::with_all_items(tools))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResult, ErrorData> {
        let Some(tool) = self.tools().find(|tool| tool.name == request.name) else {
            return Err(ErrorData::invalid_params(format!("there is no tool {}", request.name), None));
        };
        let arguments = Value::Object(request.arguments.unwrap_or_default());
        let called = match tool.admit(&arguments) {
            Ok(()) => self.call(tool.name, &arguments).await,
            Err(failure) => Err(failure),
        };
        Ok(match called {
            Ok(value) => CallToolResult::success(vec![Content::text(format!("{value:#}"))]),
            Err(failure) => CallToolResult::error(vec![Content::text(failure.text())]),
        })
    }
}
