//! One operation: its address, who may, what it takes and answers. The router and the description are both made of
//! these, so neither knows an operation that the other does not.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use api::ask::Nothing;
use axum::body::Body;
use axum::http::{HeaderValue, Method, Response, StatusCode, header};
use desk::token::Role;
use domain::book::Book;
use domain::code::{Code, Refusal, nearest};
use domain::store::Result;
use engine::engine::Engine;
use engine::trace::Context;
use futures_util::future::BoxFuture;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::app::App;
use crate::auth::Caller;
use crate::once::Repeat;
use crate::version::Versioned;

/// A request that was let in.
pub(crate) struct Call {
    pub(crate) app: App,
    /// Of the project asked for, in the caller's name.
    pub(crate) engine: Engine,
    pub(crate) caller: Caller,
    /// The variable parts of the path, in their order.
    pub(crate) path: Vec<String>,
    /// What stands behind the question mark, without what every operation takes.
    pub(crate) query: String,
    pub(crate) body: Vec<u8>,
    pub(crate) idempotency_key: Option<String>,
    /// By what the caller was known.
    pub(crate) authorization: Option<HeaderValue>,
    /// Of the contract of stores that the caller speaks.
    pub(crate) version: Option<u32>,
    /// From within which trace is called.
    pub(crate) trace: Option<Context>,
}

impl Call {
    /// The variable part of the path.
    pub(crate) fn name(&self) -> &str {
        self.path.first().map_or("", String::as_str)
    }

    /// The name of what is asked about: of the path, or of the body where it is made.
    pub(crate) fn subject(&self) -> String {
        #[derive(Deserialize)]
        struct Named {
            name: String,
        }
        if let Some(name) = self.path.first() {
            return name.clone();
        }
        let named: Option<Named> = serde_json::from_slice(&self.body).ok();
        named.map_or_else(String::new, |named| named.name)
    }

    pub(crate) fn parsed<T: std::str::FromStr<Err = Refusal>>(&self) -> Result<T> {
        self.name().parse()
    }

    pub(crate) fn query<Q: DeserializeOwned + JsonSchema>(&self) -> Result<Q> {
        serde_html_form::from_str(&self.query).map_err(|e| explain::<Q>(QUERY, &e))
    }

    pub(crate) fn body<B: DeserializeOwned + JsonSchema>(&self) -> Result<B> {
        let bytes = if self.body.is_empty() { b"{}" } else { &*self.body };
        serde_json::from_slice(bytes).map_err(|e| explain::<B>(BODY, &e))
    }
}

/// Refuses what stands behind the question mark of an operation that is asked nothing there.
pub(crate) fn check_no_query(query: &str) -> Result<()> {
    let asked: std::result::Result<Nothing, _> = serde_html_form::from_str(query);
    asked.map(drop).map_err(|e| explain::<Nothing>(QUERY, &e))
}

const QUERY: &str = "the query";
const BODY: &str = "the body";
/// What every operation takes behind the question mark.
const PROJECT: &str = "project";

/// Says what is wrong with a value, and which name may have been meant: of all that the operation takes, at any depth.
fn explain<T: JsonSchema>(what: &str, error: &dyn fmt::Display) -> Refusal {
    let text = error.to_string().replace(", there are no fields", "");
    let refusal = Refusal::new(Code::InvalidArgument, format!("{what} cannot be used: {text}"));
    let Some(given) = text
        .split("unknown field `")
        .nth(1)
        .and_then(|rest| rest.split('`').next())
    else {
        return refusal;
    };
    let schema = SchemaGenerator::default().into_root_schema_for::<T>().to_value();
    let mut known = BTreeSet::new();
    names(&schema, &mut known);
    let near = nearest(given, known.iter().map(String::as_str).chain([PROJECT]));
    let is_address = |name: &str| name == PROJECT && what != QUERY && !known.contains(name);
    match near {
        Some(near) if is_address(near) => refusal.help("did you mean `?project=NAME` in the address?"),
        Some(near) => refusal.help(format!("did you mean `{near}`?")),
        None if known.is_empty() && what == QUERY => refusal.help("only `project` is asked there"),
        None if known.is_empty() => refusal.help("it takes no fields"),
        None => refusal,
    }
}

/// The names of all fields that a schema speaks of.
fn names(schema: &Value, known: &mut BTreeSet<String>) {
    match schema {
        Value::Object(object) => {
            for (key, value) in object {
                if let ("properties", Value::Object(fields)) = (key.as_str(), value) {
                    known.extend(fields.keys().cloned());
                }
                names(value, known);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| names(item, known)),
        _ => {}
    }
}

pub(crate) type Run = Arc<dyn Fn(Call) -> BoxFuture<'static, Result<Response<Body>>> + Send + Sync>;
pub(crate) type Describe = fn(&mut SchemaGenerator) -> Schema;

/// What an operation answers when it succeeds.
#[derive(Clone)]
pub(crate) enum Answer {
    Json(Describe),
    /// Other types, each with its name.
    Other(&'static [&'static str]),
}

#[derive(Clone)]
pub(crate) struct Op {
    pub(crate) method: Method,
    /// With `{names}` of variable parts.
    pub(crate) path: &'static str,
    /// Unique; clients name functions by it.
    pub(crate) id: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) role: Role,
    pub(crate) status: StatusCode,
    pub(crate) query: Option<Describe>,
    pub(crate) body: Option<Describe>,
    /// Without a body nothing is asked for.
    pub(crate) body_needed: bool,
    pub(crate) answer: Answer,
    /// The same answer under another status.
    pub(crate) also: Option<StatusCode>,
    /// Anybody may ask, without a token.
    pub(crate) open: bool,
    /// What it is about has a version.
    pub(crate) versioned: Option<Versioned>,
    /// How it takes being asked again with the same key.
    pub(crate) repeat: Repeat,
    pub(crate) run: Run,
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// An operation that reads: everything is asked in path and query.
pub(crate) fn get<Q, A, F>(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    work: fn(Call, Q) -> F,
) -> Op
where
    Q: DeserializeOwned + JsonSchema + Send + 'static,
    A: Serialize + JsonSchema,
    F: Future<Output = Result<A>> + Send + 'static,
{
    let run = move |call: Call| -> BoxFuture<'static, Result<Response<Body>>> {
        Box::pin(async move {
            let query = call.query::<Q>()?;
            json(StatusCode::OK, &work(call, query).await?)
        })
    };
    Op {
        method: Method::GET,
        path,
        id,
        summary,
        role: Role::Reader,
        status: StatusCode::OK,
        query: Some(SchemaGenerator::subschema_for::<Q>),
        body: None,
        body_needed: false,
        answer: Answer::Json(SchemaGenerator::subschema_for::<A>),
        also: None,
        open: false,
        versioned: None,
        repeat: Repeat::Harmless,
        run: Arc::new(run),
    }
}

/// An operation that writes: what is asked is the body.
pub(crate) fn send<B, A, F>(
    method: Method,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    work: fn(Call, B) -> F,
) -> Op
where
    B: DeserializeOwned + JsonSchema + Send + 'static,
    A: Serialize + JsonSchema,
    F: Future<Output = Result<A>> + Send + 'static,
{
    let run = move |call: Call| -> BoxFuture<'static, Result<Response<Body>>> {
        Box::pin(async move {
            let body = call.body::<B>()?;
            json(StatusCode::OK, &work(call, body).await?)
        })
    };
    Op {
        method,
        path,
        id,
        summary,
        role: Role::Operator,
        status: StatusCode::OK,
        query: None,
        body: Some(SchemaGenerator::subschema_for::<B>),
        body_needed: serde_json::from_str::<B>("{}").is_err(),
        answer: Answer::Json(SchemaGenerator::subschema_for::<A>),
        also: None,
        open: false,
        versioned: None,
        repeat: Repeat::Kept,
        run: Arc::new(run),
    }
}

pub(crate) fn post<B, A, F>(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    work: fn(Call, B) -> F,
) -> Op
where
    B: DeserializeOwned + JsonSchema + Send + 'static,
    A: Serialize + JsonSchema,
    F: Future<Output = Result<A>> + Send + 'static,
{
    send(Method::POST, path, id, summary, work)
}

impl Op {
    pub(crate) fn role(self, role: Role) -> Op {
        Op { role, ..self }
    }

    pub(crate) fn status(self, status: StatusCode) -> Op {
        let run = self.run;
        let answered = move |call: Call| -> BoxFuture<'static, Result<Response<Body>>> {
            let answer = run(call);
            Box::pin(async move {
                let mut answer = answer.await?;
                *answer.status_mut() = status;
                Ok(answer)
            })
        };
        Op {
            status,
            run: Arc::new(answered),
            ..self
        }
    }

    /// The path says it all.
    pub(crate) fn bodiless(self) -> Op {
        Op { body: None, ..self }
    }

    pub(crate) fn open(self) -> Op {
        Op { open: true, ..self }
    }

    /// It is about the entry of a book that the path names, or the body where it is made.
    pub(crate) fn versioned(self, book: Book) -> Op {
        self.versioned_as(Versioned { book, keys: &[] })
    }

    pub(crate) fn versioned_as(self, versioned: Versioned) -> Op {
        Op {
            versioned: Some(versioned),
            ..self
        }
    }

    pub(crate) fn repeat(self, repeat: Repeat) -> Op {
        Op { repeat, ..self }
    }

    /// It only looks, though what is asked is a body.
    pub(crate) fn looks(self) -> Op {
        self.role(Role::Reader).repeat(Repeat::Harmless)
    }

    pub(crate) fn also(self, status: StatusCode) -> Op {
        Op {
            also: Some(status),
            ..self
        }
    }

    /// Everything of an operation that has its own form.
    pub(crate) fn raw(
        method: Method,
        path: &'static str,
        id: &'static str,
        summary: &'static str,
        answer: Answer,
        run: impl Fn(Call) -> BoxFuture<'static, Result<Response<Body>>> + Send + Sync + 'static,
    ) -> Op {
        Op {
            method,
            path,
            id,
            summary,
            role: Role::Reader,
            status: StatusCode::OK,
            query: None,
            body: None,
            body_needed: false,
            answer,
            also: None,
            open: false,
            versioned: None,
            repeat: Repeat::Harmless,
            run: Arc::new(run),
        }
    }
}

pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Result<Response<Body>> {
    let bytes = serde_json::to_vec(value)
        .map_err(|e| Refusal::new(Code::Internal, format!("an answer cannot be written: {e}")))?;
    Ok(typed(status, "application/json", bytes))
}

pub(crate) fn typed(status: StatusCode, kind: &'static str, bytes: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
