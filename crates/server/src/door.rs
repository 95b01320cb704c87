//! The door: how many come in, and how long they may stand in it without a word.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum_server::accept::Accept;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Sleep, sleep, timeout};

/// Lets connections in.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    /// One permit for each connection.
    pub(crate) room: Arc<Semaphore>,
    /// How long one may say nothing at first.
    pub(crate) head: Duration,
    /// How long one may take nothing of what it is sent.
    pub(crate) silence: Duration,
    pub(crate) closing: watch::Receiver<bool>,
}

impl<S: Send + 'static> Accept<TcpStream, S> for Door {
    type Stream = Guest;
    type Service = S;
    type Future = BoxFuture<'static, io::Result<(Guest, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let room = Arc::clone(&self.room).try_acquire_owned();
        let (head, silence, mut closing) = (self.head, self.silence, self.closing.clone());
        Box::pin(async move {
            let Ok(room) = room else {
                return Err(io::Error::other("there are too many connections"));
            };
            stream.set_nodelay(true)?;
            let mut first = [0];
            let closed = async {
                if closing.wait_for(|closing| *closing).await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                // What is readable may turn out to be nothing; a byte is a byte.
                spoke = timeout(head, stream.peek(&mut first)) => {
                    spoke.map_err(|_| io::ErrorKind::TimedOut)??;
                }
                () = closed => return Err(io::ErrorKind::ConnectionAborted.into()),
            }
            let guest = Guest {
                stream,
                silence,
                stuck: None,
                _room: room,
            };
            Ok((guest, service))
        })
    }
}

/// A connection that gives its room back, and that is given up when it takes nothing for too long.
#[derive(Debug)]
pub(crate) struct Guest {
    stream: TcpStream,
    silence: Duration,
    /// Runs while something waits to be taken.
    stuck: Option<Pin<Box<Sleep>>>,
    _room: OwnedSemaphorePermit,
}

impl Guest {
    fn unless_stuck<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stuck = None;
            return written;
        }
        let silence = self.silence;
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(sleep(silence)));
        ready!(stuck.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Guest {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Guest {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.unless_stuck(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.unless_stuck(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
