//! When, as people say it.

use std::time::Duration;

use api::time::Time;
use domain::time::Timestamp;

/// `12s ago`, `in 3h`, `now`.
pub(crate) fn relative(time: Time, now: Timestamp) -> String {
    let at = time.0;
    let (span, past) = if at <= now {
        (now.since(at), true)
    } else {
        (at.since(now), false)
    };
    match (coarse(span), past) {
        (None, _) => "now".to_owned(),
        (Some(text), true) => format!("{text} ago"),
        (Some(text), false) => format!("in {text}"),
    }
}

/// One unit is enough; `None` below a second.
fn coarse(span: Duration) -> Option<String> {
    let seconds = span.as_secs();
    let (value, unit) = match seconds {
        0 => return None,
        1..60 => (seconds, "s"),
        60..3_600 => (seconds / 60, "m"),
        3_600..86_400 => (seconds / 3_600, "h"),
        _ => (seconds / 86_400, "d"),
    };
    Some(format!("{value}{unit}"))
}

/// `12s`: how long ago.
pub(crate) fn age(at: Timestamp, now: Timestamp) -> String {
    coarse(now.since(at)).unwrap_or_else(|| "now".to_owned())
}

/// The full time and how far away it is.
pub(crate) fn both(time: Time, now: Timestamp) -> String {
    format!("{} ({})", time.0, relative(time, now))
}

/// `12:03:01` in UTC.
pub(crate) fn clock(at: Timestamp) -> String {
    let seconds = at.0.div_euclid(1_000).rem_euclid(86_400);
    format!(
        "{:02}:{:02}:{:02}",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_from_now() {
        let now = Timestamp(100_000_000);
        let told = |ms: i64| relative(Time(Timestamp(now.0 + ms)), now);
        assert_eq!(told(-300), "now");
        assert_eq!(told(-12_000), "12s ago");
        assert_eq!(told(-90_000), "1m ago");
        assert_eq!(told(7_200_000), "in 2h");
        assert_eq!(told(-90_000_000), "1d ago");
        assert_eq!(clock(Timestamp(43_381_000)), "12:03:01");
    }
}
