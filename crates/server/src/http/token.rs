//! Tokens.

use api::ask;
use api::token::{Made, Token, Tokens};
use axum::http::{Method, StatusCode};
use desk::token::{self, Role};
use domain::store::Result;

use crate::once::Repeat;
use crate::op::{Call, Op, get, post, send};

pub(super) fn ops() -> Vec<Op> {
    let ops = vec![
        get(
            "/v1/tokens",
            "listTokens",
            "List the tokens, never their secrets",
            list,
        ),
        post(
            "/v1/tokens",
            "createToken",
            "Make a token; its secret is shown this once",
            create,
        )
        .repeat(Repeat::Refused(
            "its secret is kept nowhere, so it cannot be told again",
        ))
        .status(StatusCode::CREATED),
        send(
            Method::DELETE,
            "/v1/tokens/{name}",
            "revokeToken",
            "Take a token away",
            revoke,
        )
        .bodiless(),
    ];
    ops.into_iter().map(|op| op.role(Role::Admin)).collect()
}

async fn list(call: Call, _: ask::Nothing) -> Result<Tokens> {
    token::list(&call.engine).await
}

async fn create(call: Call, asked: ask::Token) -> Result<Made> {
    token::create(&call.engine, asked).await
}

async fn revoke(call: Call, _: ask::Nothing) -> Result<Token> {
    token::revoke(&call.engine, call.name()).await
}
