//! Bodies: bounded in size, time and depth.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use domain::code::{Code, Refusal};
use domain::store::Result;

/// How deep a document may be: what anybody writes, and far from what a stack holds.
const DEPTH: usize = 64;

/// The whole body, as far as it is not too large and arrives in time.
pub(crate) async fn read(headers: &HeaderMap, body: Body, max: usize, arrival: Duration) -> Result<Vec<u8>> {
    let too_large = || {
        Refusal::new(
            Code::RequestTooLarge,
            format!("the body has more than {max} bytes"),
        )
        .help("send it in parts")
    };
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    if announced
        .and_then(|text| text.parse::<usize>().ok())
        .is_some_and(|bytes| bytes > max)
    {
        return Err(too_large());
    }
    let read = tokio::time::timeout(arrival, axum::body::to_bytes(body, max)).await;
    match read {
        Ok(Ok(bytes)) => Ok(bytes.into()),
        Ok(Err(error)) if is_limit(&error) => Err(too_large()),
        Ok(Err(error)) => Err(Refusal::new(
            Code::InvalidArgument,
            format!("the body broke off: {error}"),
        )),
        Err(_) => {
            let detail = format!("the body did not arrive within {} s", arrival.as_secs());
            Err(Refusal::new(Code::RequestTimeout, detail))
        }
    }
}

/// Whether it is the bound that was met; the crate behind it is not ours to name.
fn is_limit(error: &axum::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.to_string().contains("length limit exceeded") {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Refuses a body that names itself something else than JSON.
pub(crate) fn check_type(headers: &HeaderMap) -> Result<()> {
    let Some(named) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let named = named.to_str().unwrap_or_default();
    let essence = named
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    if essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        return Ok(());
    }
    let detail = format!("the body is `{}`, not JSON", named.escape_debug());
    Err(Refusal::new(Code::UnsupportedMedia, detail).help("send `Content-Type: application/json`"))
}

/// Refuses documents nested so deep that nobody means it.
pub(crate) fn check_depth(json: &[u8]) -> Result<()> {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH {
            let detail = format!("the body is nested deeper than {DEPTH} levels");
            return Err(Refusal::new(Code::LimitExceeded, detail));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_what_is_no_text() {
        assert!(check_depth("[".repeat(DEPTH).as_bytes()).is_ok());
        assert!(check_depth("[".repeat(DEPTH + 1).as_bytes()).is_err());
        let text = format!(r#"{{"a": "{}\"{}"}}"#, "[".repeat(100), "{".repeat(100));
        assert!(check_depth(text.as_bytes()).is_ok());
    }

    #[test]
    fn json_has_many_names() {
        let with = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, text.parse().unwrap());
            check_type(&headers).is_ok()
        };
        assert!(with("application/json") && with("Application/JSON; charset=utf-8"));
        assert!(with("application/merge-patch+json"));
        assert!(!with("text/plain") && !with("application/x-www-form-urlencoded"));
        assert!(check_type(&HeaderMap::new()).is_ok());
    }
}
