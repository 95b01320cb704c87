//! Calls to the web and messages to brokers, within a policy: private addresses are refused unless they are allowed.
//!
//! Names are resolved here and every address is looked at, so that a name which leads to a private address is refused,
//! too. Redirects are not followed, and proxies of the environment are not used.

mod amqp;
mod broker;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use domain::code::{Code, Refusal};
use domain::event::pattern::glob;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Url};

use broker::Brokers;
pub use broker::Message;

/// What may be called beside public addresses. Nothing more, unless somebody says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy(Vec<Allow>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Allow {
    Net(IpAddr, u8),
    /// A host by name, or a glob over names.
    Host(String),
}

/// Networks, addresses and hosts with commas between them: `10.1.0.0/16, 127.0.0.1, *.intern.example`.
impl FromStr for Policy {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Policy, Refusal> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(allow).collect::<Result<_, _>>().map(Policy)
    }
}

fn allow(part: &str) -> Result<Allow, Refusal> {
    let wrong = || {
        let detail = format!("`{}` is neither a network nor a host", part.escape_debug());
        Refusal::new(Code::ConfigInvalid, detail).help("write for example 10.1.0.0/16 or ci.example.org")
    };
    let (address, bits) = match part.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| wrong())?)),
        None => (part, None),
    };
    match (address.trim_matches(['[', ']']).parse::<IpAddr>(), bits) {
        (Ok(address), bits) => {
            let whole = if address.is_ipv4() { 32 } else { 128 };
            let bits = bits.unwrap_or(whole);
            (bits <= whole)
                .then_some(Allow::Net(address, bits))
                .ok_or_else(wrong)
        }
        (Err(_), Some(_)) => Err(wrong()),
        (Err(_), None) => {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '*');
            let host = part.to_ascii_lowercase();
            host.chars()
                .all(plain)
                .then_some(Allow::Host(host))
                .ok_or_else(wrong)
        }
    }
}

impl Policy {
    fn admits_host(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.0
            .iter()
            .any(|allow| matches!(allow, Allow::Host(pattern) if glob(pattern, &host)))
    }

    fn admits(&self, address: IpAddr) -> bool {
        let inside = |allow: &Allow| matches!(allow, Allow::Net(net, bits) if shares(*net, address, *bits));
        is_public(address) || self.0.iter().any(inside)
    }
}

fn shares(net: IpAddr, address: IpAddr, bits: u8) -> bool {
    let bits = u32::from(bits);
    match (net, address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            (a.to_bits() & mask) == (b.to_bits() & mask)
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            (a.to_bits() & mask) == (b.to_bits() & mask)
        }
        _ => false,
    }
}

/// Networks that do not lead out.
const INSIDE: [(Ipv4Addr, u8); 14] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => INSIDE
            .iter()
            .all(|(net, bits)| !shares(IpAddr::V4(*net), IpAddr::V4(address), *bits)),
        IpAddr::V6(address) => match inner(address) {
            Some(inner) => is_public(IpAddr::V4(inner)),
            // Only global unicast is given out.
            None => {
                let start = &address.segments()[..2];
                // Its documentation ranges lead nowhere, and Teredo leads to an address that is not seen here.
                start[0] & 0xe000 == 0x2000
                    && ![[0x2001, 0xdb8], [0x2001, 0]].iter().any(|net| start == net)
                    && start[0] != 0x3fff
            }
        },
    }
}

/// The address of the old sort that one of the new sort stands for.
fn inner(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = address.segments();
    let low = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match s {
        [0, 0, 0, 0, 0, 0xffff, a, b] | [0x64, 0xff9b, 0, 0, 0, 0, a, b] => Some(low(a, b)),
        [0x2002, a, b, ..] => Some(low(a, b)),
        _ => None,
    }
}

/// A client that keeps to a policy. Cheap to clone; made when it is first needed.
#[derive(Clone, Default)]
pub struct Outside {
    policy: Arc<Policy>,
    client: Arc<OnceLock<Result<Client, String>>>,
    brokers: Arc<Brokers>,
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Outside").field(&self.policy).finish()
    }
}

/// Why a call brought no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub message: String,
    /// Another try will go the same way.
    pub hopeless: bool,
    pub timed_out: bool,
}

impl Trouble {
    pub fn new(message: impl Into<String>) -> Trouble {
        Trouble {
            message: message.into(),
            hopeless: false,
            timed_out: false,
        }
    }

    pub fn hopeless(message: impl Into<String>) -> Trouble {
        Trouble {
            hopeless: true,
            ..Trouble::new(message)
        }
    }
}

/// Variables that begin so let this process in elsewhere: they are told to nobody outside.
const OWN: [&str; 2] = ["BELLWETHER_", "OTEL_EXPORTER_"];

/// A header or an address as it is used: `env:NAME` stands for a variable of this process, so that what is secret need not be stored.
pub fn secret(value: &str) -> Result<String, Trouble> {
    match value.strip_prefix("env:") {
        None => Ok(value.to_owned()),
        Some(name) if OWN.iter().any(|own| name.starts_with(own)) => Err(Trouble::hopeless(format!(
            "`{}` is a variable of Bellwether itself and goes nowhere",
            name.escape_debug()
        ))),
        Some(name) => std::env::var(name)
            .map_err(|_| Trouble::new(format!("there is no variable `{}` here", name.escape_debug()))),
    }
}

/// What an endpoint answered, its body cut at a bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
    /// There was more of it.
    pub cut: bool,
    /// When it asks to be called again, in seconds.
    pub retry_after: Option<u64>,
}

/// A call, its URL and headers not yet looked at.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    pub method: &'a str,
    pub url: &'a str,
    pub headers: Vec<(String, String)>,
    pub body: Option<Vec<u8>>,
    pub timeout: Duration,
    /// Bytes of the answer that are kept.
    pub keep: usize,
}

impl Outside {
    pub fn new(policy: Policy) -> Outside {
        Outside {
            policy: Arc::new(policy),
            client: Arc::default(),
            brokers: Arc::default(),
        }
    }

    fn client(&self) -> Result<&Client, Trouble> {
        let made = self.client.get_or_init(|| {
            // Another part of the process may have chosen before: then that holds.
            let _ = rustls::crypto::ring::default_provider().install_default();
            Client::builder()
                .user_agent(concat!("bellwether/", env!("CARGO_PKG_VERSION")))
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .connect_timeout(Duration::from_secs(10))
                .dns_resolver(Lookup(self.policy.clone()))
                .build()
                .map_err(|e| e.to_string())
        });
        made.as_ref().map_err(|why| Trouble::new(why.clone()))
    }

    /// Calls, and waits for the whole answer.
    pub async fn call(&self, call: Call<'_>) -> Result<Answer, Trouble> {
        let url = self.address(call.url)?;
        let method = reqwest::Method::from_bytes(call.method.as_bytes())
            .map_err(|_| Trouble::hopeless(format!("`{}` is no method", call.method.escape_debug())))?;
        let mut request = self.client()?.request(method, url).timeout(call.timeout);
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        if let Some(body) = call.body {
            request = request.body(body);
        }
        let mut response = request.send().await.map_err(|e| trouble(&e))?;
        let mut answer = Answer {
            status: response.status().as_u16(),
            body: Vec::new(),
            cut: false,
            retry_after: response
                .headers()
                .get("retry-after")
                .and_then(|value| value.to_str().ok()?.parse().ok()),
        };
        while let Some(chunk) = response.chunk().await.map_err(|e| trouble(&e))? {
            let room = call.keep - answer.body.len();
            answer.body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() > room {
                answer.cut = true;
                break;
            }
        }
        Ok(answer)
    }

    /// A name is looked at when it is resolved; an address that stands in the URL is not, so it is here.
    fn address(&self, text: &str) -> Result<Url, Trouble> {
        let url = Url::parse(text).map_err(|e| Trouble::hopeless(format!("the URL cannot be used: {e}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Trouble::hopeless(format!("`{}` is not of the web", url.scheme())));
        }
        let host = url.host_str().unwrap_or_default();
        let literal = host.trim_matches(['[', ']']).parse::<IpAddr>();
        match literal {
            Ok(address) if !self.policy.admits(address) => Err(Trouble::hopeless(inside(host))),
            _ => Ok(url),
        }
    }
}

fn inside(host: &str) -> String {
    format!("`{host}` is an address of this network; the setting http.allow lets it through")
}

/// The whole chain: the outermost error says only that sending failed.
fn trouble(error: &reqwest::Error) -> Trouble {
    let mut message = String::new();
    let mut next: Option<&dyn std::error::Error> = Some(error);
    let (mut hopeless, timed_out) = (error.is_builder(), error.is_timeout());
    while let Some(error) = next {
        if let Some(refused) = error.downcast_ref::<Refused>() {
            return Trouble::hopeless(refused.to_string());
        }
        let text = error.to_string();
        if !message.ends_with(&text) {
            message = if message.is_empty() {
                text
            } else {
                format!("{message}: {text}")
            };
        }
        hopeless |= error.is::<reqwest::header::InvalidHeaderValue>();
        next = error.source();
    }
    Trouble {
        message,
        hopeless,
        timed_out,
    }
}

#[derive(Debug)]
struct Lookup(Arc<Policy>);

/// Where a name leads is not for us.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(String);

impl Resolve for Lookup {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.0.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let named = policy.admits_host(name.as_str());
            let admitted: Vec<SocketAddr> = found
                .into_iter()
                .filter(|address| named || policy.admits(address.ip()))
                .collect();
            if admitted.is_empty() {
                return Err(Refused(inside(name.as_str())).into());
            }
            Ok(Box::new(admitted.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(policy: &str, address: &str) -> bool {
        policy.parse::<Policy>().unwrap().admits(address.parse().unwrap())
    }

    // proves: DESIGN 10
    #[test]
    fn addresses_of_this_network_are_refused() {
        for address in [
            "127.0.0.1",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001:0:4136:e378::1",
            "3fff::1",
            "fd00:ec2::254",
        ] {
            assert!(!admits("", address), "{address}");
        }
        for address in [
            "1.1.1.1",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "::ffff:1.1.1.1",
        ] {
            assert!(admits("", address), "{address}");
        }
    }

    #[test]
    fn what_lets_us_in_elsewhere_goes_nowhere() {
        for name in ["env:BELLWETHER_TOKEN", "env:OTEL_EXPORTER_OTLP_HEADERS"] {
            assert!(secret(name).unwrap_err().hopeless, "{name}");
        }
        assert!(!secret("env:NO_SUCH_VARIABLE_HERE").unwrap_err().hopeless);
        assert_eq!(secret("env").unwrap(), "env");
    }

    #[test]
    fn what_is_allowed_is_let_through() {
        assert!(admits("10.1.0.0/16, ::1", "10.1.2.3") && !admits("10.1.0.0/16", "10.2.0.0"));
        assert!(admits("::1", "::1") && admits("0.0.0.0/0", "127.0.0.1") && !admits("0.0.0.0/0", "::1"));
        let hosts: Policy = "*.intern.example,LOCALHOST".parse().unwrap();
        assert!(hosts.admits_host("ci.intern.example.") && hosts.admits_host("localhost"));
        assert!(!hosts.admits_host("intern.example"));
        for bad in ["10.0.0.0/33", "::/129", "a b", "x/8"] {
            assert!(bad.parse::<Policy>().is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn names_are_looked_behind() {
        let call = |url| Call {
            method: "GET",
            url,
            headers: Vec::new(),
            body: None,
            timeout: Duration::from_secs(5),
            keep: 10,
        };
        let outside = Outside::default();
        for url in [
            "http://localhost:1/",
            "http://127.0.0.1:1/",
            "http://[::1]:1/",
            "http://2130706433/",
        ] {
            let trouble = outside.call(call(url)).await.unwrap_err();
            assert!(
                trouble.hopeless && trouble.message.contains("http.allow"),
                "{url}: {trouble:?}"
            );
        }
        assert!(
            outside
                .call(call("file:///etc/passwd"))
                .await
                .unwrap_err()
                .hopeless
        );
    }
}
