//! Bodies: bounded in size, time and depth.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use domain::code::{Code, Refusal};
use domain::store::Result;
use futures_util::StreamExt;
use tokio::sync::{Semaphore, SemaphorePermit};

/// How deep a document may be: what anybody writes, and far from what a stack holds.
const DEPTH: usize = 64;

/// Bodies up to this size are read at once; of larger ones some at the same time, so that they cannot take all memory.
const SMALL: usize = 64 * 1024;

/// What a body may cost.
#[derive(Debug)]
pub(crate) struct Bodies {
    /// Bytes of one.
    max: usize,
    /// How long one may take to arrive.
    arrival: Duration,
    /// One permit for each large one, until it has been dealt with.
    large: Semaphore,
}

impl Bodies {
    pub(crate) fn new(max: usize, arrival: Duration, large: usize) -> Bodies {
        Bodies {
            max,
            arrival,
            large: Semaphore::new(large),
        }
    }

    /// The whole body, as far as it is not too large and arrives in time; and the room that it takes.
    pub(crate) async fn read(
        &self,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<(Vec<u8>, Option<SemaphorePermit<'_>>)> {
        let announced = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|bytes| bytes > self.max) {
            return Err(self.too_large());
        }
        let read = self.gather(body, announced.unwrap_or_default());
        let read = tokio::time::timeout(self.arrival, read).await;
        read.unwrap_or_else(|_| {
            let detail = format!("the body did not arrive within {} s", self.arrival.as_secs());
            Err(Refusal::new(Code::RequestTimeout, detail))
        })
    }

    async fn gather(&self, body: Body, announced: usize) -> Result<(Vec<u8>, Option<SemaphorePermit<'_>>)> {
        let mut bytes = Vec::with_capacity(announced.min(SMALL));
        let (mut parts, mut room) = (body.into_data_stream(), None);
        while let Some(part) = parts.next().await {
            let part = part.map_err(|error| {
                Refusal::new(Code::InvalidArgument, format!("the body broke off: {error}"))
            })?;
            if part.len() > self.max - bytes.len() {
                return Err(self.too_large());
            }
            if room.is_none() && bytes.len() + part.len() > SMALL {
                room = self.large.acquire().await.ok();
                bytes.reserve(announced.saturating_sub(bytes.len()));
            }
            bytes.extend_from_slice(&part);
        }
        Ok((bytes, room))
    }

    fn too_large(&self) -> Refusal {
        let detail = format!("the body has more than {} bytes", self.max);
        Refusal::new(Code::RequestTooLarge, detail).help("send it in parts")
    }
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
