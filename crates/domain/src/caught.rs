//! Panics that are caught, so that the hook of a program can tell them from those that end it.

use std::any::Any;
use std::cell::Cell;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What becomes of a panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Catcher {
    /// It may be none: rows were read while somebody else changed them, and what was made of them is thrown away.
    Doubts,
    /// A defect. Who has asked is told, and all else goes on.
    Answers,
}

pub type Panic = Box<dyn Any + Send>;

thread_local! {
    static CATCHER: Cell<Option<Catcher>> = const { Cell::new(None) };
}

/// Who catches a panic of this thread, now. A hook that ends the process asks this first.
pub fn catcher() -> Option<Catcher> {
    CATCHER.get()
}

/// Whoever catches must throw away what the work may have left half done.
pub fn catch<T>(catcher: Catcher, work: impl FnOnce() -> T) -> Result<T, Panic> {
    let outer = CATCHER.replace(Some(catcher));
    let done = catch_unwind(AssertUnwindSafe(work));
    CATCHER.set(outer);
    done
}

/// Carries work out to its end, or to its panic, which is answered.
pub async fn caught<F: Future>(work: F) -> Result<F::Output, Panic> {
    let mut work = Box::pin(work);
    poll_fn(
        move |cx| match catch(Catcher::Answers, || work.as_mut().poll(cx)) {
            Ok(polled) => polled.map(Ok),
            Err(panic) => std::task::Poll::Ready(Err(panic)),
        },
    )
    .await
}

/// What it says.
pub fn text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    // proves: DESIGN 15
    #[test]
    fn who_catches_is_known_inside_and_nobody_outside() {
        let inner = catch(Catcher::Answers, || {
            let torn = catch(Catcher::Doubts, || -> () { panic!("{:?}", catcher()) }).unwrap_err();
            (text(&*torn).to_owned(), catcher())
        });
        let told = "Some(Doubts)".to_owned();
        assert_eq!(inner.unwrap(), (told, Some(Catcher::Answers)));
        assert_eq!(catcher(), None);
    }

    #[test]
    fn work_that_waits_is_caught_each_time_it_goes_on() {
        let mut waited = false;
        let work = poll_fn(move |_| match std::mem::replace(&mut waited, true) {
            false => Poll::<()>::Pending,
            true => panic!("at last"),
        });
        let mut work = pin!(caught(work));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(work.as_mut().poll(&mut cx).is_pending());
        assert_eq!(catcher(), None, "others go on meanwhile");
        let Poll::Ready(Err(panic)) = work.as_mut().poll(&mut cx) else {
            panic!("it is not caught");
        };
        assert_eq!(text(&*panic), "at last");
    }
}
