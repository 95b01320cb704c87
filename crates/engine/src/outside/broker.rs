//! Messages to brokers that speak AMQP 0-9-1, each confirmed by its broker before it counts as sent.
//!
//! There is one connection for each address, kept as long as it is used and made anew once it has broken. Addresses hold
//! passwords: none of them gets into an error or a log.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use reqwest::Url;
use rustc_hash::FxHashMap;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

use super::amqp::{Error, Link, Login, Publication};
use super::{Outside, Policy, Trouble, inside};

/// One message for an exchange.
pub struct Message<'a> {
    /// `amqp://` or `amqps://`, with user and password.
    pub address: &'a str,
    pub exchange: &'a str,
    pub routing_key: &'a str,
    /// What tells a repeated message.
    pub id: String,
    pub sort: &'a str,
    /// In seconds.
    pub at: u64,
    pub body: &'a [u8],
    /// A message that no queue takes has failed.
    pub mandatory: bool,
    pub timeout: Duration,
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Message");
        shown.field("exchange", &self.exchange).field("id", &self.id);
        shown.finish_non_exhaustive()
    }
}

/// A connection that is not in use, if there is one. Who sends holds it locked; who gives up in the middle leaves none.
type Slot = Arc<Mutex<Option<(Link, Instant)>>>;

/// Connections by address.
#[derive(Default)]
pub(super) struct Brokers(Mutex<FxHashMap<String, Slot>>);

impl fmt::Debug for Brokers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Brokers")
    }
}

/// A connection that nobody has used for so long is given up.
const IDLE: Duration = Duration::from_secs(600);

impl Outside {
    /// Hands a message to its broker, and waits until the broker has taken it over.
    pub async fn publish(&self, message: Message<'_>) -> Result<(), Trouble> {
        let slot = self.slot(message.address).await;
        let sent = tokio::time::timeout(message.timeout, send(&self.policy, &slot, &message)).await;
        sent.unwrap_or_else(|_| {
            Err(Trouble {
                timed_out: true,
                ..Trouble::new("the broker has not confirmed the message in time")
            })
        })
    }

    async fn slot(&self, address: &str) -> Slot {
        let mut slots = self.brokers.0.lock().await;
        slots.retain(|_, slot| {
            // Who holds it, uses it.
            slot.try_lock().map_or(true, |link| {
                link.as_ref().is_some_and(|(_, used)| used.elapsed() < IDLE)
            })
        });
        slots.entry(address.to_owned()).or_default().clone()
    }
}

async fn send(policy: &Policy, slot: &Slot, message: &Message<'_>) -> Result<(), Trouble> {
    let publication = Publication {
        exchange: message.exchange,
        routing_key: message.routing_key,
        mandatory: message.mandatory,
        id: &message.id,
        sort: message.sort,
        at: message.at,
        body: message.body,
    };
    let mut slot = slot.lock().await;
    if let Some((mut link, _)) = slot.take() {
        match link.publish(&publication).await {
            // It may have broken long ago; a message that did arrive is told by its id.
            Err(Error::Broken(_)) => {}
            Err(Error::Refused { open: true, why }) => {
                *slot = Some((link, Instant::now()));
                return Err(Trouble::new(why));
            }
            Err(error) => return Err(error.into()),
            Ok(()) => {
                *slot = Some((link, Instant::now()));
                return Ok(());
            }
        }
    }
    let mut link = connect(policy, message.address).await?;
    let sent = link.publish(&publication).await;
    if matches!(sent, Ok(()) | Err(Error::Refused { open: true, .. })) {
        *slot = Some((link, Instant::now()));
    }
    sent.map_err(Trouble::from)
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        match error {
            Error::Broken(why) => Trouble::new(format!("the broker: {why}")),
            Error::Refused { why, .. } => Trouble::new(why),
            Error::TooLong(why) => Trouble::hopeless(why),
        }
    }
}

/// The parts of a broker's address.
struct Address {
    encrypted: bool,
    host: String,
    port: u16,
    user: String,
    password: String,
    vhost: String,
}

impl Address {
    /// What the parser says may quote the password, so it is not told.
    fn parse(text: &str) -> Option<Address> {
        let url = Url::parse(text).ok()?;
        let encrypted = match url.scheme() {
            "amqp" => false,
            "amqps" => true,
            _ => return None,
        };
        let host = url.host_str().filter(|host| !host.is_empty())?;
        let or = |part: String, default: &str| match part.is_empty() {
            true => default.to_owned(),
            false => part,
        };
        Some(Address {
            encrypted,
            host: decoded(host.trim_matches(['[', ']']))?,
            port: url.port().unwrap_or(if encrypted { 5671 } else { 5672 }),
            user: or(decoded(url.username())?, "guest"),
            password: or(decoded(url.password().unwrap_or_default())?, "guest"),
            vhost: or(decoded(url.path().trim_start_matches('/'))?, "/"),
        })
    }
}

/// A text without its `%2f` and the like.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        bytes.push((digit()? * 16 + digit()?) as u8);
    }
    String::from_utf8(bytes).ok()
}

async fn connect(policy: &Policy, address: &str) -> Result<Link, Trouble> {
    let address = Address::parse(address).ok_or_else(|| {
        Trouble::hopeless("the broker's address is none: write amqps://USER:PASSWORD@HOST/VHOST")
    })?;
    let to = admitted(policy, &address).await?;
    let broken = |error: std::io::Error| Trouble::new(format!("the broker: {error}"));
    let stream = TcpStream::connect(&to[..]).await.map_err(broken)?;
    stream.set_nodelay(true).map_err(broken)?;
    let login = Login {
        user: &address.user,
        password: &address.password,
        vhost: &address.vhost,
    };
    if !address.encrypted {
        return Ok(Link::open(stream, &login).await?);
    }
    let name = ServerName::try_from(address.host.clone())
        .map_err(|_| Trouble::hopeless(format!("`{}` is no host", address.host.escape_debug())))?;
    let stream = tls()?.connect(name, stream).await.map_err(broken)?;
    Ok(Link::open(stream, &login).await?)
}

/// What trusts the authorities that this machine trusts.
fn tls() -> Result<TlsConnector, Trouble> {
    static CONFIG: OnceLock<Result<Arc<ClientConfig>, String>> = OnceLock::new();
    let made = CONFIG.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        for certificate in rustls_native_certs::load_native_certs().certs {
            // A certificate that cannot be read is one that is not trusted.
            let _ = roots.add(certificate);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?;
        Ok(Arc::new(
            config.with_root_certificates(roots).with_no_client_auth(),
        ))
    });
    let config = made.as_ref().map_err(|why| Trouble::new(why.clone()))?;
    Ok(TlsConnector::from(Arc::clone(config)))
}

/// Where the broker's name leads, as far as the policy lets it.
async fn admitted(policy: &Policy, address: &Address) -> Result<Vec<SocketAddr>, Trouble> {
    let host = address.host.as_str();
    let named = host.parse::<IpAddr>().is_err() && policy.admits_host(host);
    let found = tokio::net::lookup_host((host, address.port)).await;
    let found = found.map_err(|e| Trouble::new(format!("`{}`: {e}", host.escape_debug())))?;
    let admitted: Vec<SocketAddr> = found
        .filter(|address| named || policy.admits(address.ip()))
        .collect();
    match admitted.is_empty() {
        true => Err(Trouble::hopeless(inside(host))),
        false => Ok(admitted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Option<String> {
        let Address {
            encrypted,
            host,
            port,
            user,
            password,
            vhost,
        } = Address::parse(text)?;
        Some(format!("{encrypted} {host} {port} {user} {password} {vhost}"))
    }

    #[test]
    fn addresses_are_those_that_brokers_are_known_by() {
        for (text, expected) in [
            ("amqp://mq", Some("false mq 5672 guest guest /")),
            ("amqps://mq/", Some("true mq 5671 guest guest /")),
            ("amqp://ann:p%40ss%2F@mq:1/%2f", Some("false mq 1 ann p@ss/ /")),
            (
                "amqp://ann@[::1]:9/jobs?heartbeat=5",
                Some("false ::1 9 ann guest jobs"),
            ),
            ("http://mq", None),
            ("amqp:///jobs", None),
            ("amqp://ann:%zz@mq", None),
            ("mq", None),
        ] {
            assert_eq!(parts(text).as_deref(), expected, "{text}");
        }
    }
}
