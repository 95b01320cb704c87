//! What a client asks of a session, in the words of the protocol.
//!
//! A tool that says no is an answer with `isError`, so that the agent reads it; only what is no request at all is a
//! protocol error. A defect in a tool ends that call and nothing else.

use domain::caught::caught;
use domain::code::{Code, Refusal};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CompleteRequestParams, CompleteResult,
    CompletionInfo, ContentBlock, GetPromptRequestParams, GetPromptResponse, Implementation,
    InitializeResult, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult,
    PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse, Reference, ServerCapabilities,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler, model};
use serde_json::Value;

use crate::call::Call;
use crate::extra::{Extra, Offer};
use crate::session::{Session, Setup};
use crate::tool::{self, Rights, Set, Tool, Voice};
use crate::{prompts, resources};

/// Entries of one page of any list.
const PAGE: usize = 50;

/// The server's side of one session.
#[derive(Debug)]
pub struct Server {
    session: Session,
    tools: Vec<&'static Tool>,
}

const INSTRUCTIONS: &str = "Bellwether keeps a durable queue of tasks with dependencies. Claim a task, do it, \
complete or fail it; the session renews your leases meanwhile. Errors are objects with a stable `code` and a `help`.";

impl Server {
    pub(crate) fn new(setup: Setup) -> Server {
        Server {
            tools: setup.tools.tools(),
            session: Session::new(setup),
        }
    }

    fn extra(&self) -> Option<&dyn Extra> {
        let all = self.session.setup.tools == Set::All;
        self.session.setup.extra.as_deref().filter(|_| all)
    }

    fn declared(&self) -> Vec<model::Tool> {
        let own = self.tools.iter().map(|tool| tool.declared());
        let extra = self.extra().into_iter().flat_map(Extra::offers);
        own.chain(extra.map(Offer::declared)).collect()
    }

    async fn answer(&self, request: CallToolRequestParams, call: &Call) -> CallToolResult {
        self.session.holds.called().await;
        let tool = self.tools.iter().find(|tool| tool.name == request.name);
        let (voice, answer) = match tool {
            Some(tool) => (tool.voice, self.run(tool, request, call).await),
            None => self.run_extra(request, call).await,
        };
        let mut result = match answer {
            Ok(value) => CallToolResult::structured(value),
            Err(refusal) => CallToolResult::structured_error(voice.error(&refusal)),
        };
        result.content.extend(self.notices());
        result
    }

    async fn run(&self, tool: &Tool, request: CallToolRequestParams, call: &Call) -> Result<Value, Refusal> {
        call.check(tool.sort.needs(), self.session.setup.rights)?;
        let given = request.arguments.unwrap_or_default();
        safely(tool.name, tool.call(&self.session, given, call)).await
    }

    async fn run_extra(
        &self,
        request: CallToolRequestParams,
        call: &Call,
    ) -> (Voice, Result<Value, Refusal>) {
        let offer = self.extra().and_then(|extra| {
            let offer = extra
                .offers()
                .into_iter()
                .find(|offer| offer.name == request.name)?;
            Some((extra, offer))
        });
        let Some((extra, offer)) = offer else {
            let names = self.declared().into_iter().map(|tool| tool.name.into_owned());
            return (
                Voice::Service,
                Err(tool::unknown(&request.name, &names.collect::<Vec<_>>())),
            );
        };
        if let Err(refusal) = call.check(offer.rights, self.session.setup.rights) {
            return (Voice::Plain, Err(refusal));
        }
        let engine = self.session.engine_for(call);
        let given = request.arguments.unwrap_or_default();
        (
            Voice::Plain,
            safely(&offer.name, extra.call(&offer.name, given, engine)).await,
        )
    }

    /// Leases that ended without the agent's doing: it should stop that work.
    fn notices(&self) -> impl Iterator<Item = ContentBlock> {
        let told = self.session.holds.told().into_iter();
        told.map(|(task, why)| ContentBlock::text(format!("note: stop working on task {task}: {why}")))
    }

    /// Looking is for everybody who may look; a read is a sign of life too.
    async fn looks(&self, context: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        self.session.holds.called().await;
        let allowed = Call::new(context).check(Rights::Read, self.session.setup.rights);
        allowed.map_err(|refusal| ErrorData::invalid_request(refusal.detail, None))
    }
}

async fn safely(name: &str, work: impl Future<Output = Result<Value, Refusal>>) -> Result<Value, Refusal> {
    caught(work).await.unwrap_or_else(|_| {
        let detail = format!("the tool {name} met a defect; the session goes on");
        Err(Refusal::new(Code::Internal, detail).help(Code::Internal.cure()))
    })
}

impl ServerHandler for Server {
    fn get_info(&self) -> InitializeResult {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_resources()
            .enable_prompts()
            .enable_completions()
            .build();
        let me = Implementation::new("bellwether", env!("CARGO_PKG_VERSION")).with_title("Bellwether");
        InitializeResult::new(capabilities)
            .with_server_info(me)
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let (page, next) = page(self.declared(), request)?;
        let mut result = ListToolsResult::with_all_items(page);
        result.next_cursor = next;
        Ok(result)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        Ok(self.answer(request, &Call::new(context)).await.into())
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        self.looks(context).await?;
        let all = resources::list(self.session.engine()).await;
        let all = all.map_err(|refusal| ErrorData::internal_error(refusal.detail, None))?;
        let (page, next) = page(all, request)?;
        let mut result = ListResourcesResult::with_all_items(page);
        result.next_cursor = next;
        Ok(result)
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let (page, next) = page(resources::templates(), request)?;
        let mut result = ListResourceTemplatesResult::with_all_items(page);
        result.next_cursor = next;
        Ok(result)
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        self.looks(context).await?;
        Ok(resources::read(self.session.engine(), &request.uri).await?.into())
    }

    async fn list_prompts(
        &self,
        request: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let (page, next) = page(prompts::list(), request)?;
        let mut result = ListPromptsResult::with_all_items(page);
        result.next_cursor = next;
        Ok(result)
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        Ok(prompts::get(&request.name, request.arguments.as_ref())?.into())
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        self.looks(context).await?;
        let values = match &request.r#ref {
            Reference::Resource(template) => {
                let (engine, typed) = (self.session.engine(), &request.argument.value);
                let found =
                    resources::complete(engine, &template.uri, typed, CompletionInfo::MAX_VALUES).await;
                found.map_err(|refusal| ErrorData::internal_error(refusal.detail, None))?
            }
            Reference::Prompt(_) => Vec::new(),
            _ => Vec::new(),
        };
        let info = CompletionInfo::new(values).map_err(|what| ErrorData::internal_error(what, None))?;
        Ok(CompleteResult::new(info))
    }
}

/// The entries that a cursor asks for, and the next cursor.
fn page<T>(
    mut all: Vec<T>,
    request: Option<PaginatedRequestParams>,
) -> Result<(Vec<T>, Option<String>), ErrorData> {
    let from = match request.and_then(|request| request.cursor) {
        None => 0,
        Some(cursor) => cursor
            .parse()
            .ok()
            .filter(|from| *from < all.len())
            .ok_or_else(|| {
                ErrorData::invalid_params(format!("`{cursor}` is no cursor of this list"), None)
            })?,
    };
    let to = all.len().min(from + PAGE);
    let next = (to < all.len()).then(|| to.to_string());
    all.truncate(to);
    Ok((all.split_off(from), next))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A token is about four bytes.
    fn tokens(set: Set) -> usize {
        let tools = set.tools();
        let all = ListToolsResult::with_all_items(tools.iter().map(|tool| tool.declared()).collect());
        serde_json::to_string(&all).unwrap().len() / 4
    }

    // proves: DESIGN 9
    #[test]
    fn lists_of_tools_are_short() {
        assert!(Set::Core.tools().len() <= 10);
        assert_eq!(Set::Classic.tools().len(), 18);
        let (core, classic) = (tokens(Set::Core), tokens(Set::Classic));
        assert!(core < 2_000, "core: {core} tokens");
        assert!(classic < 4_000, "classic: {classic} tokens");
    }

    #[test]
    fn names_of_tools_are_unique() {
        let mut names: Vec<_> = Set::All.tools().iter().map(|tool| tool.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn pages_follow_each_other() {
        let ask = |cursor: &str| {
            page(
                (0..120).collect(),
                Some(PaginatedRequestParams::default().with_cursor(Some(cursor.to_owned()))),
            )
        };
        let (first, next) = page((0..120).collect::<Vec<_>>(), None).unwrap();
        assert_eq!((first.len(), next.as_deref()), (50, Some("50")));
        assert_eq!(ask("100").unwrap(), ((100..120).collect(), None));
        for bad in ["120", "-1", "x"] {
            assert!(ask(bad).is_err());
        }
    }
}
