//! The part of AMQP 0-9-1 that publishes: one connection with one channel, in which each message is confirmed before the
//! next one is sent. The numbers are those of the specification and of RabbitMQ's extension for confirms.

use std::fmt;
use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Who connects, and where to.
pub(super) struct Login<'a> {
    pub(super) user: &'a str,
    pub(super) password: &'a str,
    pub(super) vhost: &'a str,
}

/// One message for an exchange.
pub(super) struct Publication<'a> {
    pub(super) exchange: &'a str,
    pub(super) routing_key: &'a str,
    pub(super) mandatory: bool,
    pub(super) id: &'a str,
    pub(super) sort: &'a str,
    /// In seconds.
    pub(super) at: u64,
    pub(super) body: &'a [u8],
}

/// Why a message was not taken.
#[derive(Debug)]
pub(super) enum Error {
    /// The connection has broken; it cannot be used again.
    Broken(String),
    /// The broker has said no; the connection may be used again where it says so.
    Refused { why: String, open: bool },
    /// A name is too long for the protocol.
    TooLong(String),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Error::Broken(match error.kind() {
            io::ErrorKind::UnexpectedEof => "the connection was closed".to_owned(),
            _ => error.to_string(),
        })
    }
}

type Result<T> = std::result::Result<T, Error>;

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// An open connection.
pub(super) struct Link {
    stream: Box<dyn Stream>,
    /// Bytes of one frame at the most, its ends included.
    frame_max: usize,
    /// Messages sent so far.
    sent: u64,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

const HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";
const END: u8 = 0xCE;
/// Type, channel and length before a payload, and the end after it.
const AROUND: usize = 8;
/// Where the broker sets no bound.
const FRAME_MAX: u32 = 128 * 1024;
/// No broker may set a lower one.
const FRAME_MIN: u32 = 4_096;

/// Frames that are passed over before a method: a message that comes back has no more parts.
const PASSED_OVER: usize = 4_096;

const METHOD: u8 = 1;
const CONTENT: u8 = 2;
const BODY: u8 = 3;

/// A method by class and number.
type Method = (u16, u16);

const START: Method = (10, 10);
const START_OK: Method = (10, 11);
const TUNE: Method = (10, 30);
const TUNE_OK: Method = (10, 31);
const OPEN: Method = (10, 40);
const OPEN_OK: Method = (10, 41);
const CLOSE: Method = (10, 50);
const CLOSE_OK: Method = (10, 51);
const CHANNEL_OPEN: Method = (20, 10);
const CHANNEL_OPEN_OK: Method = (20, 11);
const CHANNEL_CLOSE: Method = (20, 40);
const CHANNEL_CLOSE_OK: Method = (20, 41);
const PUBLISH: Method = (60, 40);
const RETURN: Method = (60, 50);
const ACK: Method = (60, 80);
const NACK: Method = (60, 120);
const SELECT: Method = (85, 10);
const SELECT_OK: Method = (85, 11);

/// The only channel that is opened.
const CHANNEL: u16 = 1;

impl Link {
    /// Greets the broker and opens a channel whose messages are confirmed.
    pub(super) async fn open(stream: impl Stream + 'static, login: &Login<'_>) -> Result<Link> {
        let mut link = Link {
            stream: Box::new(stream),
            frame_max: FRAME_MAX as usize,
            sent: 0,
        };
        link.stream.write_all(HEADER).await?;
        link.expect(START).await?;
        let mut about = Bytes::default();
        about.entry("product", "bellwether")?;
        about.entry("version", env!("CARGO_PKG_VERSION"))?;
        about.entry("connection_name", "bellwether")?;
        let mut can = Bytes::default();
        // So that a wrong password is told, and not only met with silence.
        can.flag("authentication_failure_close")?;
        can.flag("publisher_confirms")?;
        about.short("capabilities")?.byte(b'F').long(&can.0);
        let mut answer = Bytes::default();
        answer.long(&about.0).short("PLAIN")?;
        answer.long(format!("\0{}\0{}", login.user, login.password).as_bytes());
        answer.short("en_US")?;
        link.call(0, START_OK, &answer).await?;

        let mut tune = link.expect(TUNE).await?;
        let (_channels, frame_max) = (tune.two()?, tune.four()?);
        let frame_max = match frame_max {
            0 => FRAME_MAX,
            asked => asked.clamp(FRAME_MIN, FRAME_MAX),
        };
        link.frame_max = frame_max as usize;
        let mut tuned = Bytes::default();
        // No heartbeats: nobody waits at a connection without saying for how long.
        tuned.two(CHANNEL).four(frame_max).two(0);
        link.call(0, TUNE_OK, &tuned).await?;
        let mut open = Bytes::default();
        open.short(login.vhost)?.short("")?.byte(0);
        link.call(0, OPEN, &open).await?;
        link.expect(OPEN_OK).await?;

        let mut channel = Bytes::default();
        channel.short("")?;
        link.call(CHANNEL, CHANNEL_OPEN, &channel).await?;
        link.expect(CHANNEL_OPEN_OK).await?;
        let mut select = Bytes::default();
        select.byte(0);
        link.call(CHANNEL, SELECT, &select).await?;
        link.expect(SELECT_OK).await?;
        Ok(link)
    }

    /// Hands a message over, and waits until the broker has taken it, sent it back or refused it.
    pub(super) async fn publish(&mut self, message: &Publication<'_>) -> Result<()> {
        let frames = self.frames(message)?;
        self.stream.write_all(&frames.0).await?;
        self.stream.flush().await?;
        self.sent += 1;
        let mut back = None;
        loop {
            let (method, mut arguments) = self.method().await?;
            match method {
                RETURN if back.is_none() => {
                    let (code, text) = (arguments.two()?, arguments.short()?);
                    back = Some(format!(
                        "no queue takes it: the broker sent it back ({code} {text})"
                    ));
                }
                ACK | NACK => {
                    let number = arguments.eight()?;
                    let several = arguments.byte()? & 1 != 0;
                    if number != self.sent && !(several && number == 0) {
                        return Err(unexpected("a confirm of another message"));
                    }
                    return match (method, back) {
                        (ACK, None) => Ok(()),
                        (ACK, Some(why)) => Err(Error::Refused { why, open: true }),
                        _ => Err(Error::Refused {
                            why: "the broker refused the message".to_owned(),
                            open: true,
                        }),
                    };
                }
                other => return Err(self.closed(other, arguments).await),
            }
        }
    }

    /// Method, properties and body of a message, in as few writes as possible.
    fn frames(&self, message: &Publication<'_>) -> Result<Bytes> {
        let mut frames = Bytes::default();
        let mut publish = Bytes::default();
        publish
            .two(PUBLISH.0)
            .two(PUBLISH.1)
            .two(0)
            .short(message.exchange)?
            .short(message.routing_key)?
            .byte(u8::from(message.mandatory));
        frames.frame(METHOD, CHANNEL, &publish.0);
        let mut content = Bytes::default();
        content.two(PUBLISH.0).two(0).eight(message.body.len() as u64);
        // Content type, delivery mode, message id, timestamp, type, application.
        content.two(1 << 15 | 1 << 12 | 1 << 7 | 1 << 6 | 1 << 5 | 1 << 3);
        content.short("application/json")?;
        // Kept on the broker's disk, where its queue is.
        content
            .byte(2)
            .short(message.id)?
            .eight(message.at)
            .short(message.sort)?
            .short("bellwether")?;
        frames.frame(CONTENT, CHANNEL, &content.0);
        for part in message.body.chunks(self.frame_max - AROUND) {
            frames.frame(BODY, CHANNEL, part);
        }
        Ok(frames)
    }

    async fn call(&mut self, channel: u16, method: Method, arguments: &Bytes) -> Result<()> {
        let mut payload = Bytes::default();
        payload.two(method.0).two(method.1).0.extend(&arguments.0);
        let mut frame = Bytes::default();
        frame.frame(METHOD, channel, &payload.0);
        self.stream.write_all(&frame.0).await?;
        self.stream.flush().await?;
        Ok(())
    }

    async fn expect(&mut self, expected: Method) -> Result<Arguments> {
        let (method, arguments) = self.method().await?;
        if method == expected {
            return Ok(arguments);
        }
        Err(self.closed(method, arguments).await)
    }

    /// What the broker says in the place of what was asked.
    async fn closed(&mut self, method: Method, mut arguments: Arguments) -> Error {
        let answer = match method {
            CLOSE => (0, CLOSE_OK),
            CHANNEL_CLOSE => (CHANNEL, CHANNEL_CLOSE_OK),
            (class, number) => return unexpected(&format!("method {class}.{number}")),
        };
        let why = match (arguments.two(), arguments.short()) {
            (Ok(code), Ok(text)) => format!("the broker says {code} {text}"),
            _ => "the broker has closed the connection".to_owned(),
        };
        let _ = self.call(answer.0, answer.1, &Bytes::default()).await;
        Error::Refused { why, open: false }
    }

    /// The next method. Content that is sent back, and whatever else needs no answer, is passed over.
    async fn method(&mut self) -> Result<(Method, Arguments)> {
        for _ in 0..=PASSED_OVER {
            let mut head = [0; 7];
            self.stream.read_exact(&mut head).await?;
            if head[..4] == HEADER[..4] {
                return Err(unexpected("another version of AMQP"));
            }
            let sort = head[0];
            let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
            if size > self.frame_max {
                return Err(unexpected("a frame that is too long"));
            }
            let mut payload = vec![0; size + 1];
            self.stream.read_exact(&mut payload).await?;
            if payload.pop() != Some(END) {
                return Err(unexpected("a frame without its end"));
            }
            if sort == METHOD {
                let mut arguments = Arguments {
                    bytes: payload,
                    at: 0,
                };
                let method = (arguments.two()?, arguments.two()?);
                return Ok((method, arguments));
            }
        }
        Err(unexpected("frames without end"))
    }
}

fn unexpected(what: &str) -> Error {
    Error::Broken(format!("the broker sent {what}"))
}

/// Values as the protocol writes them.
#[derive(Debug, Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn byte(&mut self, value: u8) -> &mut Bytes {
        self.0.push(value);
        self
    }

    fn two(&mut self, value: u16) -> &mut Bytes {
        self.0.extend(value.to_be_bytes());
        self
    }

    fn four(&mut self, value: u32) -> &mut Bytes {
        self.0.extend(value.to_be_bytes());
        self
    }

    fn eight(&mut self, value: u64) -> &mut Bytes {
        self.0.extend(value.to_be_bytes());
        self
    }

    fn short(&mut self, text: &str) -> Result<&mut Bytes> {
        let length = u8::try_from(text.len()).map_err(|_| {
            let shown: String = text.chars().take(40).collect();
            Error::TooLong(format!("`{}…` has more than 255 bytes", shown.escape_debug()))
        })?;
        self.0.push(length);
        self.0.extend(text.as_bytes());
        Ok(self)
    }

    fn long(&mut self, bytes: &[u8]) -> &mut Bytes {
        self.four(bytes.len() as u32).0.extend(bytes);
        self
    }

    /// A text in a table.
    fn entry(&mut self, name: &str, value: &str) -> Result<()> {
        self.short(name)?.byte(b'S').long(value.as_bytes());
        Ok(())
    }

    /// A true one.
    fn flag(&mut self, name: &str) -> Result<()> {
        self.short(name)?.byte(b't').byte(1);
        Ok(())
    }

    fn frame(&mut self, sort: u8, channel: u16, payload: &[u8]) {
        self.byte(sort).two(channel).long(payload).byte(END);
    }
}

/// The arguments of a method, read one after the other.
struct Arguments {
    bytes: Vec<u8>,
    at: usize,
}

impl Arguments {
    fn take(&mut self, count: usize) -> Result<&[u8]> {
        let taken = self.bytes.get(self.at..self.at.saturating_add(count));
        self.at += count;
        taken.ok_or_else(|| unexpected("less than it announced"))
    }

    fn number(&mut self, bytes: usize) -> Result<u64> {
        let taken = self.take(bytes)?.iter();
        Ok(taken.fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.number(1)? as u8)
    }

    fn two(&mut self) -> Result<u16> {
        Ok(self.number(2)? as u16)
    }

    fn four(&mut self) -> Result<u32> {
        Ok(self.number(4)? as u32)
    }

    fn eight(&mut self) -> Result<u64> {
        self.number(8)
    }

    fn short(&mut self) -> Result<String> {
        let length = self.byte()?;
        let text = self.take(length.into())?;
        Ok(String::from_utf8_lossy(text)
            .chars()
            .filter(|c| !c.is_control())
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGIN: Login<'_> = Login {
        user: "ann",
        password: "sesame",
        vhost: "/",
    };

    const MESSAGE: Publication<'_> = Publication {
        exchange: "events",
        routing_key: "a.b",
        mandatory: true,
        id: "1",
        sort: "task.completed",
        at: 7,
        body: b"{}",
    };

    fn method(channel: u16, method: Method, arguments: impl FnOnce(&mut Bytes)) -> Vec<u8> {
        let mut payload = Bytes::default();
        payload.two(method.0).two(method.1);
        arguments(&mut payload);
        let mut frame = Bytes::default();
        frame.frame(METHOD, channel, &payload.0);
        frame.0
    }

    /// What a broker says until a channel is open.
    fn greeting(frame_max: u32) -> Vec<u8> {
        [
            method(0, START, |bytes| {
                bytes.byte(0).byte(9).long(b"").long(b"PLAIN").long(b"en_US");
            }),
            method(0, TUNE, |bytes| {
                bytes.two(2047).four(frame_max).two(60);
            }),
            method(0, OPEN_OK, |bytes| {
                bytes.byte(0);
            }),
            method(CHANNEL, CHANNEL_OPEN_OK, |bytes| {
                bytes.long(b"");
            }),
            method(CHANNEL, SELECT_OK, |_| {}),
        ]
        .concat()
    }

    /// What comes of a message when the broker says this, and what it is sent.
    async fn talk(says: &[u8]) -> (Result<()>, Vec<u8>) {
        let (ours, mut theirs) = tokio::io::duplex(1 << 20);
        theirs.write_all(says).await.unwrap();
        let told = async {
            let mut link = Link::open(ours, &LOGIN).await?;
            link.publish(&MESSAGE).await
        };
        let told = tokio::time::timeout(std::time::Duration::from_secs(10), told).await;
        let told = told.unwrap_or_else(|_| Err(unexpected("nothing")));
        let mut heard = Vec::new();
        theirs.read_to_end(&mut heard).await.unwrap();
        (told, heard)
    }

    fn confirmed(number: u64) -> Vec<u8> {
        method(CHANNEL, ACK, |bytes| {
            bytes.eight(number).byte(0);
        })
    }

    #[tokio::test]
    async fn a_message_counts_when_it_is_confirmed() {
        let says = [greeting(0), confirmed(1)].concat();
        let (told, heard) = talk(&says).await;
        told.unwrap();
        let text = String::from_utf8_lossy(&heard);
        assert!(heard.starts_with(HEADER) && text.contains("\0ann\0sesame"));
        let body = [&[BODY, 0, 1, 0, 0, 0, 2][..], b"{}", &[END]].concat();
        assert!(heard.ends_with(&body), "{heard:?}");
    }

    #[tokio::test]
    async fn what_comes_back_has_not_arrived() {
        let back = method(CHANNEL, RETURN, |bytes| {
            bytes.two(312).short("NO_ROUTE").unwrap().short("events").unwrap();
        });
        let mut content = Bytes::default();
        content.frame(CONTENT, CHANNEL, &[0; 14]);
        content.frame(BODY, CHANNEL, b"{}");
        content.frame(8, 0, b"");
        let says = [greeting(0), back, content.0, confirmed(1)].concat();
        let Err(Error::Refused { why, open: true }) = talk(&says).await.0 else {
            panic!("it was sent back");
        };
        assert!(why.contains("312 NO_ROUTE"), "{why}");
    }

    #[tokio::test]
    async fn a_broker_that_closes_says_why() {
        let close = method(0, CLOSE, |bytes| {
            bytes.two(403).short("ACCESS_REFUSED").unwrap().two(0).two(0);
        });
        let greeting = method(0, START, |bytes| {
            bytes.byte(0).byte(9).long(b"");
        });
        let (told, heard) = talk(&[greeting, close].concat()).await;
        let Err(Error::Refused { why, open: false }) = told else {
            panic!("it was refused");
        };
        assert_eq!(why, "the broker says 403 ACCESS_REFUSED");
        assert!(!why.contains("sesame"));
        assert!(heard.ends_with(&method(0, CLOSE_OK, |_| {})));
    }

    #[tokio::test]
    async fn nonsense_is_told_and_not_believed() {
        let long = [&[METHOD, 0, 0][..], &u32::MAX.to_be_bytes()].concat();
        let endless = [&[METHOD, 0, 0, 0, 0, 0, 4][..], &[0, 10, 0, 10, 7]].concat();
        let idle = [8, 0, 0, 0, 0, 0, 0, END].repeat(PASSED_OVER + 1);
        let back = method(CHANNEL, RETURN, |bytes| {
            bytes.two(312).byte(0);
        });
        for (says, expected) in [
            (b"AMQP\x00\x01\x00\x00".to_vec(), "another version"),
            (long, "too long"),
            (endless, "without its end"),
            (method(0, TUNE, |_| {}), "method 10.30"),
            (
                [method(0, START, |_| {}), method(0, TUNE, |_| {})].concat(),
                "less than it announced",
            ),
            ([greeting(0), confirmed(9)].concat(), "another message"),
            ([greeting(0), idle.clone()].concat(), "frames without end"),
            (idle, "frames without end"),
            ([greeting(0), back.clone(), back].concat(), "method 60.50"),
        ] {
            let Err(Error::Broken(why)) = talk(&says).await.0 else {
                panic!("{expected}");
            };
            assert!(why.contains(expected), "{why}");
        }
    }

    #[test]
    fn long_bodies_go_in_parts_and_long_names_nowhere() {
        let link = Link {
            stream: Box::new(tokio::io::empty()),
            frame_max: FRAME_MIN as usize,
            sent: 0,
        };
        let body = vec![b'x'; 10_000];
        let message = Publication {
            body: &body,
            ..MESSAGE
        };
        let frames = link.frames(&message).unwrap().0;
        let parts = frames.windows(3).filter(|three| *three == [BODY, 0, 1]).count();
        assert_eq!(parts, 10_000_usize.div_ceil(FRAME_MIN as usize - AROUND));
        let name = "k".repeat(256);
        let message = Publication {
            routing_key: &name,
            ..MESSAGE
        };
        assert!(matches!(link.frames(&message), Err(Error::TooLong(_))));
    }
}
