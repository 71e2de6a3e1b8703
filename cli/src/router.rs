//! `pg-workflow router`: prints the SQL that turns a database into a router for several servers.
//!
//! The output depends on three things: the API, which is read from the catalog of a server; `router/routes.txt`, which
//! says where each function is executed; and the servers, which report their parts.

mod api;
mod citus;
mod front;
mod map;
mod plproxy;
mod routes;

use crate::connect::wait_for;
use crate::exit_status::Ending;
use crate::output;
use map::Servers;

/// Print the SQL that turns a database into a router for several servers
///
/// The router has all functions of the API, under the same names, and passes each call on to the server that has its
/// part. Run the SQL in a separate database; running it in an older router updates that.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(clap::Subcommand)]
enum Kind {
    Plproxy(Plproxy),
    Citus(Citus),
}

/// Print a router for a plain PostgreSQL database with PL/Proxy 2.10
///
/// Each call is a separate transaction on the servers. Exit status: 0 on success; 1 if the servers contradict each
/// other; 3 if one can't be reached.
#[derive(clap::Args)]
struct Plproxy {
    /// A server, as postgres://host:port/name; repeat for each server
    #[arg(long = "server", value_name = "URL", required = true)]
    servers: Vec<String>,
    /// How long a worker's call may wait for a server before it is considered dead
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=3600))]
    patience: u32,
}

/// Print a router for the coordinator of a Citus cluster, version 13.2 or later
///
/// The servers are the nodes of the cluster. Calls are part of the caller's transaction, even if it calls several
/// servers. Exit status: 0 on success; 1 if the servers contradict each other; 3 if one can't be reached.
#[derive(clap::Args)]
struct Citus {
    /// A server, as postgres://host:port/name; repeat for each server
    #[arg(long = "server", value_name = "URL", required = true)]
    servers: Vec<String>,
}

/// Prints a router.
pub fn run(arguments: Arguments) -> crate::Ended {
    let urls = match &arguments.kind {
        Kind::Plproxy(Plproxy { servers, .. }) | Kind::Citus(Citus { servers }) => servers,
    };
    let (api, servers) = wait_for(async {
        let servers = Servers::ask(urls).await?;
        Ok::<_, crate::exit_status::Failure>((api::read(servers.publisher_url()).await?, servers))
    })??;
    let unowned = servers.unowned();
    if !unowned.is_empty() {
        output::warning(&format!("no server has parts {unowned}: calls for them are refused"));
    }
    output::print(&match arguments.kind {
        Kind::Plproxy(Plproxy { patience, .. }) => plproxy::write(&api, &servers, patience)?,
        Kind::Citus(_) => citus::write(&api, &servers)?,
    });
    Ok(Ending::Good)
}
