//! A session over the standard streams: the client is the process that started this one.

use domain::code::{Code, Refusal};
use domain::store::Result;
use rmcp::service::{QuitReason, ServerInitializeError};
use rmcp::{ServiceExt, transport};

use crate::server::Server;
use crate::session::Setup;

/// Answers until the client closes the stream. What the session holds runs out after its time, unless somebody who has
/// the tokens goes on.
pub async fn serve(setup: Setup) -> Result<()> {
    let running = match Server::new(setup).serve(transport::stdio()).await {
        Ok(running) => running,
        // It went away before it said anything.
        Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(error) => return Err(broken(&error.to_string())),
    };
    match running.waiting().await {
        Ok(QuitReason::Closed | QuitReason::Cancelled) => Ok(()),
        Ok(reason) => Err(broken(&format!("{reason:?}"))),
        Err(error) => Err(broken(&error.to_string())),
    }
}

fn broken(why: &str) -> Refusal {
    Refusal::new(Code::Internal, format!("the session ended badly: {why}"))
}
