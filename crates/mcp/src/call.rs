//! One request of a client: who sends it, whether it was cancelled, and whom to tell how far it is.

use domain::code::{Code, Refusal};
use rmcp::RoleServer;
use rmcp::model::ProgressNotificationParam;
use rmcp::service::RequestContext;

use crate::session::Caller;
use crate::tool::Rights;

#[derive(Debug)]
pub(crate) struct Call {
    context: RequestContext<RoleServer>,
    caller: Option<Caller>,
}

impl Call {
    pub(crate) fn new(context: RequestContext<RoleServer>) -> Call {
        let parts = context.extensions.get::<http::request::Parts>();
        let caller = parts.and_then(|parts| parts.extensions.get::<Caller>().cloned());
        Call { context, caller }
    }

    pub(crate) fn caller(&self) -> Option<&Caller> {
        self.caller.as_ref()
    }

    /// The client's own name, as it introduced itself.
    pub(crate) fn client(&self) -> String {
        self.context
            .client_info()
            .map(|client| client.name)
            .unwrap_or_default()
    }

    pub(crate) fn check(&self, needs: Rights, own: Rights) -> Result<(), Refusal> {
        let rights = self.caller.as_ref().map_or(own, |caller| caller.rights);
        if rights >= needs {
            return Ok(());
        }
        let detail = format!(
            "this caller may {} and this needs the right to {}",
            rights.verb(),
            needs.verb()
        );
        Err(Refusal::new(Code::Forbidden, detail).help("use a token with a role that may do more"))
    }

    /// Resolves when the client takes its request back.
    pub(crate) async fn cancelled(&self) {
        self.context.ct.cancelled().await;
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.context.ct.is_cancelled()
    }

    /// Tells a client that asked for it how far a call is; that it cannot be told is its own affair.
    pub(crate) async fn progress(&self, done: f64, total: Option<f64>, message: String) {
        let Some(token) = self.context.meta.get_progress_token() else {
            return;
        };
        let mut told = ProgressNotificationParam::new(token, done).with_message(message);
        told.total = total;
        drop(self.context.peer.notify_progress(told).await);
    }
}

impl Rights {
    fn verb(self) -> &'static str {
        match self {
            Rights::Read => "read",
            Rights::Work => "work",
            Rights::Operate => "operate",
        }
    }
}
