//! What every request goes through on its way to an operation, and every answer on its way back.

use std::any::Any;
use std::net::SocketAddr;
use std::time::Duration;

use api::remote::VERSION_HEADER;
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequestParts, Request, WebSocketUpgrade};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, header};
use axum::middleware::Next;
use axum::routing::{MethodFilter, MethodRouter, any, on};
use desk::token::Role;
use domain::caught::{caught, text};
use domain::code::{Code, Refusal};
use domain::id::Project;
use domain::limits::KEY_BYTES;
use domain::store::Result;
use engine::trace::{Context, HEADER};
use tokio::sync::OwnedSemaphorePermit;
use tower_http::compression::CompressionLayer;

use crate::app::App;
use crate::auth::Caller;
use crate::mount::Mount;
use crate::once::{Once, Repeat};
use crate::op::{Call, Op, check_no_query};
use crate::openapi::STREAM;
use crate::stream::socket::{self, BUFFER_BYTES, MESSAGE_BYTES, Peer};
use crate::ticket::PROTOCOL;
use crate::version::{self, Version};
use crate::{body, problem};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The most that an operation may be asked to wait.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// All operations with what is around them.
pub(crate) fn router(app: &App, ops: Vec<Op>, mounts: Vec<Mount>) -> Router {
    let mut router = Router::new();
    for op in ops {
        let (app, path) = (app.clone(), op.path);
        router = router.route(path, route(app, op));
    }
    for mount in mounts {
        let (app, path) = (app.clone(), mount.path);
        let serve = move |request: Request| {
            let (app, mount) = (app.clone(), mount.clone());
            async move {
                let answered = mount.answer(&app, request).await;
                answered.unwrap_or_else(|refusal| problem::answer(&refusal))
            }
        };
        router = router.route(path, any(serve));
    }
    let streamed = app.clone();
    let listen = move |request: Request| {
        let app = streamed.clone();
        async move {
            let answered = stream(app, request).await;
            answered.unwrap_or_else(|refusal| problem::answer(&refusal))
        }
    };
    router
        .route(STREAM, on(MethodFilter::GET, listen))
        .fallback(|request: Request| async move {
            let detail = format!("there is no `{}`", request.uri().path().escape_debug());
            problem::answer(
                &Refusal::new(Code::RouteNotFound, detail).help("`GET /v1/openapi.json` lists what there is"),
            )
        })
        .method_not_allowed_fallback(|request: Request| async move {
            let detail = format!(
                "`{}` does not take {}",
                request.uri().path().escape_debug(),
                request.method()
            );
            problem::answer(&Refusal::new(Code::MethodNotAllowed, detail))
        })
        .layer(axum::middleware::map_response(protect))
        .layer(axum::middleware::from_fn(async |request: Request, next: Next| {
            let answered = caught(next.run(request)).await;
            answered.unwrap_or_else(|panic| problem::answer(&defect(&*panic)))
        }))
        .layer(CompressionLayer::new())
        .layer(axum::middleware::from_fn_with_state(app.clone(), number))
}

/// The answer to somebody whose request has hit a defect of ours.
pub(crate) fn defect(panic: &(dyn Any + Send)) -> Refusal {
    let detail = format!("the operation met a defect: {}", text(panic));
    Refusal::new(Code::Internal, detail)
}

fn route(app: App, op: Op) -> MethodRouter {
    let filter = MethodFilter::try_from(op.method.clone()).unwrap_or(MethodFilter::GET);
    on(
        filter,
        move |path: axum::extract::RawPathParams, request: Request| {
            let (app, op) = (app.clone(), op.clone());
            let path = path.iter().map(|(_, value)| value.to_owned()).collect();
            let is_conditional = op.versioned.is_some() && version::is_conditional(request.headers());
            async move {
                let answered = answer(app, &op, path, request).await;
                answered.unwrap_or_else(|refusal| match refusal.code {
                    Code::EntryChanged if is_conditional => problem::unmet(&refusal),
                    _ => problem::answer(&refusal),
                })
            }
        },
    )
}

async fn answer(app: App, op: &Op, path: Vec<String>, request: Request) -> Result<Response<Body>> {
    let room = app.room()?;
    let (parts, body) = request.into_parts();
    let caller = match op.open {
        true => Caller::nobody(),
        false => app.auth.caller(&parts.headers, peer(&parts)).await?,
    };
    caller.needs(op.role)?;
    let (project, query) = project(parts.uri.query().unwrap_or_default())?;
    let project = project.unwrap_or_else(|| app.engine.project.clone());
    caller.sees(&project)?;
    if op.query.is_none() && op.method != Method::GET {
        check_no_query(&query)?;
    }
    let (bytes, _bulk) = match op.body {
        None => (Vec::new(), None),
        Some(_) => {
            let (bytes, bulk) = app.bodies.read(&parts.headers, body).await?;
            if !bytes.is_empty() {
                body::check_type(&parts.headers)?;
                body::check_depth(&bytes)?;
            }
            (bytes, bulk)
        }
    };
    let key = idempotency_key(&parts.headers)?;
    if let (Repeat::Refused(why), Some(_)) = (op.repeat, &key) {
        let detail = format!("`{} {}` takes no `Idempotency-Key`: {why}", op.method, op.path);
        return Err(Refusal::new(Code::InvalidArgument, detail).help("send it without that header"));
    }
    if !op.open {
        app.keepers.keep(&project);
        app.trace(&project);
    }
    let engine = app.engine(project, caller.actor.clone());
    let patience = app.options.patience + WAIT_MAX;
    let asked = Asked {
        op: op.clone(),
        headers: parts.headers,
        patience,
        _room: room,
        call: Call {
            engine: engine.clone(),
            idempotency_key: key.clone(),
            authorization: None,
            version: None,
            trace: None,
            caller,
            path,
            query,
            body: bytes,
            app: app.clone(),
        },
    };
    match key.filter(|_| op.repeat == Repeat::Kept) {
        None => carry_out(asked).await,
        Some(key) => {
            let once = {
                let call = &asked.call;
                let path = parts.uri.path();
                let request: [&[u8]; 5] = [
                    call.caller.actor.as_bytes(),
                    op.method.as_str().as_bytes(),
                    path.as_bytes(),
                    call.query.as_bytes(),
                    &call.body,
                ];
                Once::new(engine, &key, &request, patience)
            };
            once.answer(carry_out(asked)).await
        }
    }
}

/// A request that was let in, before what it is about was looked at.
struct Asked {
    op: Op,
    headers: HeaderMap,
    patience: Duration,
    /// Kept until it is carried out, though nobody may wait for the answer any more.
    _room: OwnedSemaphorePermit,
    call: Call,
}

async fn carry_out(asked: Asked) -> Result<Response<Body>> {
    let Asked {
        op,
        headers,
        patience,
        _room,
        mut call,
    } = asked;
    let version = match op.versioned {
        None => None,
        Some(versioned) => Some(Version::of(&call.engine, versioned, &call.subject()).await?),
    };
    if let Some(version) = version.as_ref().filter(|_| op.method != Method::GET) {
        version.check(&headers)?;
        call.engine = version.guard(call.engine, version::is_conditional(&headers));
    }
    let call = Call {
        authorization: headers.get(header::AUTHORIZATION).cloned(),
        version: spoken(&headers),
        trace: trace(&headers),
        ..call
    };
    match tokio::time::timeout(patience, (op.run)(call)).await {
        Ok(Ok(mut answer)) => {
            if let Some(tag) = version.and_then(|version| version.header()) {
                answer.headers_mut().insert(header::ETAG, tag);
            }
            Ok(answer)
        }
        Ok(Err(refusal)) => Err(refusal),
        Err(_) => Err(Refusal::new(
            Code::RequestTimeout,
            format!("no answer within {} s", patience.as_secs()),
        )),
    }
}

/// Lets a connection listen to the stream of a project.
async fn stream(app: App, request: Request) -> Result<Response<Body>> {
    let (mut parts, _) = request.into_parts();
    app.tickets.redeem(&mut parts.headers)?;
    let caller = app.auth.caller(&parts.headers, peer(&parts)).await?;
    caller.needs(Role::Reader)?;
    let (project, rest) = project(parts.uri.query().unwrap_or_default())?;
    if !rest.is_empty() {
        let detail = format!("`{}` is not asked here", rest.escape_debug());
        return Err(Refusal::new(Code::InvalidArgument, detail).help("only `project` is"));
    }
    let project = project.unwrap_or_else(|| app.engine.project.clone());
    caller.sees(&project)?;
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &app).await;
    let upgrade = upgrade.map_err(|e| {
        Refusal::new(
            Code::InvalidArgument,
            format!("this address speaks WebSocket: {e}"),
        )
        .help("connect with a WebSocket client, ws:// or wss://")
    })?;
    let stream = app.streams.of(&project)?;
    app.keepers.keep(&project);
    app.streams.enter(app.options.streams)?;
    let peer = Peer {
        address: peer(&parts),
        headers: parts.headers,
    };
    let failed = app.clone();
    Ok(upgrade
        .protocols([PROTOCOL])
        .max_message_size(MESSAGE_BYTES)
        .max_frame_size(MESSAGE_BYTES)
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .on_failed_upgrade(move |_| failed.streams.leave())
        .on_upgrade(move |ws| socket::serve(app, stream, ws, peer)))
}

pub(crate) fn peer(parts: &Parts) -> SocketAddr {
    let known = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    // Without an address nobody is taken for the user of this machine.
    known.map_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)), |peer| peer.0)
}

/// Takes `project` out of the query: every operation has it.
fn project(query: &str) -> Result<(Option<Project>, String)> {
    let mut project = None;
    let mut rest = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.strip_prefix("project=") {
            Some(name) if project.is_none() => project = Some(Project::new(name)?),
            Some(_) => return Err(Refusal::new(Code::InvalidArgument, "`project` is named twice")),
            None => rest.push(pair),
        }
    }
    Ok((project, rest.join("&")))
}

fn spoken(headers: &HeaderMap) -> Option<u32> {
    headers.get(VERSION_HEADER)?.to_str().ok()?.parse().ok()
}

/// One that cannot be read counts for nothing, as the standard asks.
fn trace(headers: &HeaderMap) -> Option<Context> {
    headers.get(HEADER)?.to_str().ok()?.parse().ok()
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    match value.to_str() {
        Ok(key) if (1..=KEY_BYTES).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => {
            let detail = format!("`Idempotency-Key` has 1 to {KEY_BYTES} visible ASCII characters");
            Err(Refusal::new(Code::InvalidArgument, detail))
        }
    }
}

/// Gives every request a number that its answer and the log share; the caller's own is kept when it is sane.
async fn number(
    axum::extract::State(app): axum::extract::State<App>,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    let given = request.headers().get(&REQUEST_ID).cloned();
    let sane = |value: &HeaderValue| {
        let visible = |byte: &u8| byte.is_ascii_graphic();
        (1..=128).contains(&value.len()) && value.as_bytes().iter().all(visible)
    };
    let id = given.filter(sane).or_else(|| {
        let fresh = engine::ids::task().to_string();
        HeaderValue::try_from(fresh).ok()
    });
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    if let Some(id) = &id {
        request.headers_mut().insert(REQUEST_ID, id.clone());
    }
    let begun = std::time::Instant::now();
    let mut response = next.run(request).await;
    let status = response.status().as_u16();
    app.answered.note(status, begun.elapsed());
    let took = begun.elapsed().as_millis() as u64;
    let shown = id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or_default();
    tracing::debug!(%method, path, status, took, request = shown, "a request was answered");
    if let Some(id) = id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// Nothing of ours is guessed at, framed or kept by others.
async fn protect(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
