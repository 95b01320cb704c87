//! The keys that say what is called or waited for.

use std::time::Duration;

use crate::limits;
use crate::rule::Webhook;
use crate::task::outside::{Awaited, Call};
use crate::task::spec::{Json, Work};

use super::at::{At, Findings, Key};
use super::draft::Draft;
use super::node::Value;
use super::schema;
use super::values::label;

/// An endpoint that is asked more often than this is being attacked.
const INTERVAL_MIN: Duration = Duration::from_millis(500);
const INTERVAL: Duration = Duration::from_secs(5);
/// Headers of one call.
const HEADERS_MAX: usize = 64;

pub(super) fn http(draft: &mut Draft, at: At<'_>, found: &mut Findings) {
    let call = call(at, found);
    draft.does("http", call.map(|call| Work::Http(Json::of(&call))));
}

/// A URL, or a mapping with `url`.
fn call(at: At<'_>, found: &mut Findings) -> Option<Call> {
    let mut call = Call::default();
    match &at.node.value {
        Value::Mapping(entries) => {
            at.keys(found, "a URL, or a mapping with `url`", HTTP, &mut call);
            if !entries.iter().any(|entry| entry.key == "url") {
                at.missing(found, "has no `url`", "add `url`");
                return None;
            }
        }
        _ => url(&mut call, at, found),
    }
    Some(call)
}

fn url(call: &mut Call, at: At<'_>, found: &mut Findings) {
    let url = at.content(found).map(|url| Webhook::new(&url));
    if let Some(hook) = url.and_then(|url| at.accept(found, url)) {
        call.url = hook.url;
    }
}

pub(super) const HTTP: &[Key<Call>] = &[
    Key::new("url", "Where to.", schema::text, url),
    Key::new(
        "method",
        "GET, or POST with a body, if not said.",
        schema::method,
        |call, at, found| {
            let method = at.content(found).map(|method| method.to_ascii_uppercase());
            match method {
                Some(method) if Call::METHODS.contains(&method.as_str()) => call.method = Some(method),
                Some(_) => at.wrong(
                    found,
                    "this is no method",
                    format!("known are {}", Call::METHODS.join(", ")),
                ),
                None => {}
            }
        },
    ),
    Key::new(
        "headers",
        "Headers by name; `env:NAME` takes a variable of the worker.",
        schema::env,
        |call, at, found| {
            let entries = at.entries(found, "a mapping of headers").unwrap_or_default();
            if entries.len() > HEADERS_MAX {
                at.wrong(
                    found,
                    format!("{} headers; the limit is {HEADERS_MAX}", entries.len()),
                    "send fewer",
                );
            }
            for entry in entries {
                let at = at.entry(entry);
                let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
                if at.key().is_empty() || !at.key().chars().all(token) {
                    at.wrong(
                        found,
                        "this is no name of a header",
                        "use letters, digits and dashes",
                    );
                }
                if let Some(value) = at.scalar(found, "text") {
                    if value.chars().any(char::is_control) {
                        at.wrong(found, "control characters cannot be sent", "write it on one line");
                    }
                    call.headers.insert(at.key().to_owned(), value.to_owned());
                }
            }
        },
    ),
    Key::new(
        "body",
        "What is sent: text as it is, everything else as JSON. Without it, POST, PUT and PATCH send the task's input document.",
        schema::any,
        |call, at, found| call.body = at.json(found),
    ),
    Key::new(
        "status",
        "The status of a success, or a list of them; 200 to 299 if not said.",
        schema::statuses,
        |call, at, found| {
            at.each(found, |at, found| {
                let status = at
                    .whole(found, 100, 599)
                    .and_then(|status| u16::try_from(status).ok());
                call.status.extend(status);
            });
        },
    ),
    Key::new(
        "contains",
        "Text that the answer must hold.",
        schema::text,
        |call, at, found| call.contains = at.content(found),
    ),
];

/// A wait while its keys are read.
#[derive(Debug, Default)]
pub(super) struct Wait {
    waits: u32,
    file: Option<String>,
    http: Option<Call>,
    signal: Option<String>,
    stable: Option<Duration>,
    interval: Option<Duration>,
    earlier: Option<bool>,
}

pub(super) fn wait(draft: &mut Draft, at: At<'_>, found: &mut Findings) {
    let mut wait = Wait::default();
    at.keys(
        found,
        "a mapping with `file`, `http` or `signal`",
        WAIT,
        &mut wait,
    );
    if wait.waits != 1 && at.node.is_mapping() {
        let detail = format!(
            "expected one of `file`, `http` and `signal`, found {}",
            wait.waits
        );
        at.wrong(found, detail, "name the one thing to wait for");
    }
    let beside = [
        ("stable", wait.stable.is_some(), wait.file.is_some(), "file"),
        ("interval", wait.interval.is_some(), wait.http.is_some(), "http"),
        ("earlier", wait.earlier.is_some(), wait.signal.is_some(), "signal"),
    ];
    for (key, said, fits, with) in beside {
        if said && !fits && wait.waits == 1 {
            at.wrong(found, format!("`{key}` belongs to `{with}`"), "remove it");
        }
    }
    let millis = |span: Duration| span.as_millis() as u64;
    let file = wait.file.map(|glob| Awaited::File {
        glob,
        stable: wait.stable.map_or(0, millis),
    });
    let http = wait.http.map(|call| Awaited::Http {
        call,
        interval: millis(wait.interval.unwrap_or(INTERVAL)),
    });
    let signal = wait.signal.map(|name| Awaited::Signal {
        name,
        earlier: wait.earlier.unwrap_or(false),
    });
    let awaited = file.or(http).or(signal);
    draft.does("wait", awaited.map(|awaited| Work::Wait(Json::of(&awaited))));
}

pub(super) const WAIT: &[Key<Wait>] = &[
    Key::new(
        "file",
        "A glob that some file shall match.",
        schema::text,
        |wait, at, found| {
            wait.waits += 1;
            wait.file = at.content(found);
            let long = |glob: &String| glob.len() > limits::KEY_BYTES * 2;
            if wait.file.as_ref().is_some_and(long) {
                at.wrong(found, "this is too long", "name a folder above it");
            }
        },
    ),
    Key::new(
        "http",
        "An endpoint that shall answer.",
        schema::http,
        |wait, at, found| {
            wait.waits += 1;
            wait.http = call(at, found);
        },
    ),
    Key::new(
        "signal",
        "A signal that shall come.",
        schema::label,
        |wait, at, found| {
            wait.waits += 1;
            wait.signal = label(at, found);
        },
    ),
    Key::new(
        "stable",
        "How long the file must not change.",
        schema::duration,
        |wait, at, found| wait.stable = at.duration(found),
    ),
    Key::new(
        "interval",
        "The pause between two calls of the endpoint; 5 s if not said.",
        schema::duration,
        |wait, at, found| {
            wait.interval = at.positive(found);
            if wait.interval.is_some_and(|span| span < INTERVAL_MIN) {
                at.wrong(found, "this is too often", "ask twice a second at the most");
            }
        },
    ),
    Key::new(
        "earlier",
        "Whether a signal will do that was sent before the wait began.",
        schema::flag,
        |wait, at, found| wait.earlier = at.flag(found),
    ),
];
