//! Refusals as answers.

use api::problem::Problem;
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use domain::code::{Code, Refusal};

pub(crate) const CONTENT_TYPE: &str = "application/problem+json";

pub(crate) fn answer(refusal: &Refusal) -> Response<Body> {
    told(refusal, &Problem::from(refusal))
}

/// The answer to a request whose own condition did not hold.
pub(crate) fn unmet(refusal: &Refusal) -> Response<Body> {
    let problem = Problem::from(refusal);
    let status = StatusCode::PRECONDITION_FAILED.as_u16();
    told(refusal, &Problem { status, ..problem })
}

fn told(refusal: &Refusal, problem: &Problem) -> Response<Body> {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status == StatusCode::INTERNAL_SERVER_ERROR {
        tracing::error!(error = %refusal, "a request met a defect");
    }
    let body = serde_json::to_vec(problem).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    match refusal.code {
        Code::Unauthorized => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        Code::TooManyRequests | Code::ServerLeaving => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        _ => {}
    }
    response
}
