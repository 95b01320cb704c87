//! A service of another room under a path of this server. Who calls is known, and how much is sent is bounded, before it
//! is asked.

use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Response, header};
use desk::token::Role;
use domain::store::Result;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;

use crate::app::App;
use crate::{body, frame};

/// Who calls, and what for they may.
#[derive(Clone, Debug)]
pub struct Who {
    /// As events name it.
    pub actor: Arc<str>,
    pub role: Role,
}

pub type Serve = dyn Fn(axum::http::Request<Body>, Who) -> BoxFuture<'static, Response<Body>> + Send + Sync;

#[derive(Clone)]
pub struct Mount {
    pub path: &'static str,
    pub serve: Arc<Serve>,
}

impl Mount {
    pub(crate) async fn answer(&self, app: &App, request: Request) -> Result<Response<Body>> {
        let _room = app.room()?;
        let (mut parts, content) = request.into_parts();
        let caller = app.auth.caller(&parts.headers, frame::peer(&parts)).await?;
        caller.sees(&app.engine.project)?;
        let (bytes, _bulk) = app.bodies.read(&parts.headers, content).await?;
        body::check_depth(&bytes)?;
        // Host and token have been looked at; names that others know us by mean nothing further inside.
        parts
            .headers
            .insert(header::HOST, HeaderValue::from_static("localhost"));
        let who = Who {
            actor: caller.actor,
            role: caller.role,
        };
        let request = axum::http::Request::from_parts(parts, Body::from(bytes));
        let (head, content) = (self.serve)(request, who).await.into_parts();
        let closed = {
            let app = app.clone();
            async move { app.closed().await }
        };
        let content = content.into_data_stream().take_until(Box::pin(closed));
        Ok(Response::from_parts(head, Body::from_stream(content)))
    }
}

impl fmt::Debug for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mount")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
