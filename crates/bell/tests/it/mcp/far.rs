//! A client of the protocol over HTTP, as plain as the one over pipes.

use serde_json::{Value, json};

use crate::serve::{Served, hello};

pub(crate) struct Far<'a> {
    served: &'a Served,
    session: String,
    asked: u64,
}

impl Far<'_> {
    /// Begins a session with a server that asks for no token.
    pub(crate) fn start(served: &Served) -> Far<'_> {
        let said = served.tools(&[], &hello());
        let session = said
            .lines()
            .find_map(|line| line.strip_prefix("mcp-session-id: "))
            .unwrap_or_else(|| panic!("no session: {said}"))
            .to_owned();
        let far = Far {
            served,
            session,
            asked: 0,
        };
        far.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        far
    }

    fn say(&self, message: &Value) -> String {
        self.served.tools(&[("Mcp-Session-Id", &*self.session)], message)
    }

    /// Calls a tool that must do what it is asked.
    #[track_caller]
    pub(crate) fn does(&mut self, tool: &str, arguments: &Value) -> Value {
        self.asked += 1;
        let params = json!({ "name": tool, "arguments": arguments });
        let said = self
            .say(&json!({ "jsonrpc": "2.0", "id": self.asked, "method": "tools/call", "params": params }));
        let answer = said
            .lines()
            .map(|line| line.strip_prefix("data: ").unwrap_or(line))
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .find(|message| message["id"] == self.asked);
        let result = answer.unwrap_or_else(|| panic!("{tool}: {said}"))["result"].clone();
        assert!(result["isError"] != true && result.is_object(), "{tool}: {said}");
        result["structuredContent"].clone()
    }
}
