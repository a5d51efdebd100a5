//! What a trusted proxy says of the request it forwards (`WSGITrustedProxyHeaders`, `WSGITrustedProxies`).
//!
//! Pure logic: looks at the peer's address and the headers, and says which variables and headers change. Where no
//! header is trusted there is no [`Trust`], and nothing here runs.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::request::{Field, Network, Variable, Variables};

/// Headers of one category say the same thing: at most one of them is believed, the rest are hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Category {
    Client,
    Host,
    Server,
    Port,
    ScriptName,
    Scheme,
}

const CATEGORIES: usize = 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// The value as it stands.
    Verbatim,
    /// Addresses, each proxy adding its client at the end.
    List,
    /// `http` or `https`.
    Scheme,
    /// Whether it is https.
    Flag,
}

/// A header that proxies use to say what they were asked.
#[derive(Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    name: &'static str,
    category: Category,
    form: Form,
}

const fn header(name: &'static str, category: Category, form: Form) -> ProxyHeader {
    ProxyHeader { name, category, form }
}

static KNOWN: [ProxyHeader; 15] = [
    header("X-Forwarded-For", Category::Client, Form::List),
    header("X-Client-IP", Category::Client, Form::Verbatim),
    header("X-Real-IP", Category::Client, Form::Verbatim),
    header("X-Forwarded-Host", Category::Host, Form::Verbatim),
    header("X-Host", Category::Host, Form::Verbatim),
    header("X-Forwarded-Server", Category::Server, Form::Verbatim),
    header("X-Forwarded-Port", Category::Port, Form::Verbatim),
    header("X-Script-Name", Category::ScriptName, Form::Verbatim),
    header("X-Forwarded-Script-Name", Category::ScriptName, Form::Verbatim),
    header("X-Forwarded-Proto", Category::Scheme, Form::Scheme),
    header("X-Forwarded-Scheme", Category::Scheme, Form::Scheme),
    header("X-Scheme", Category::Scheme, Form::Scheme),
    header("X-Forwarded-HTTPS", Category::Scheme, Form::Flag),
    header("X-Forwarded-SSL", Category::Scheme, Form::Flag),
    header("X-HTTPS", Category::Scheme, Form::Flag),
];

impl ProxyHeader {
    /// The header of that name, in any case; `None` for one that says nothing we know.
    pub fn named(name: &[u8]) -> Option<&'static Self> {
        KNOWN.iter().find(|known| known.is_named(name))
    }

    fn is_named(&self, name: &[u8]) -> bool {
        self.name.as_bytes().eq_ignore_ascii_case(name)
    }
}

/// Whom to believe, and in what.
#[derive(Clone, Copy, Debug)]
pub struct Trust<'a> {
    /// Peers to believe; `None` is every peer.
    pub proxies: Option<&'a [Network]>,
    /// Headers to believe, in this order: a later one of the same category wins.
    pub headers: &'a [&'static ProxyHeader],
}

/// What changes in a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forwarded<'r> {
    /// New `REMOTE_ADDR`.
    pub remote_addr: Option<&'r [u8]>,
    /// New `HTTP_HOST`.
    pub host: Option<&'r [u8]>,
    /// New `SERVER_NAME`.
    pub server_name: Option<&'r [u8]>,
    /// New `SERVER_PORT`.
    pub server_port: Option<&'r [u8]>,
    /// New `SCRIPT_NAME`, and `mod_wsgi.mount_point`.
    pub script_name: Option<&'r [u8]>,
    /// The scheme is `https`, or is not; `None` leaves it to the server's own view.
    pub https: Option<bool>,
    /// New `HTTP_X_FORWARDED_FOR`: the part of the list that was believed.
    forwarded_for: Option<Cow<'r, [u8]>>,
    /// By category: whether a header of it is trusted at all.
    listed: [bool; CATEGORIES],
    /// By category: the header that was believed, and stays visible.
    believed: [Option<&'static ProxyHeader>; CATEGORIES],
}

impl Trust<'_> {
    /// What the proxy at `remote_addr` makes of a request with these headers.
    pub fn resolve<'r>(&self, remote_addr: &'r [u8], headers: &[Field<'r>]) -> Forwarded<'r> {
        let mut forwarded = Forwarded::default();
        let trusted = self.proxies.is_none_or(|proxies| is_within(proxies, remote_addr));
        for header in self.headers {
            forwarded.listed[header.category as usize] = true;
            let field = headers.iter().find(|field| header.is_named(&field.name));
            if let Some(field) = field.filter(|_| trusted) {
                self.believe(&mut forwarded, header, field.value.as_slice());
            }
        }
        forwarded
    }

    fn believe<'r>(&self, forwarded: &mut Forwarded<'r>, header: &'static ProxyHeader, value: &'r [u8]) {
        forwarded.believed[header.category as usize] = Some(header);
        match (header.category, header.form) {
            (Category::Client, Form::List) => self.believe_list(forwarded, value),
            (Category::Client, _) => forwarded.remote_addr = Some(value),
            (Category::Host, _) => forwarded.host = Some(value),
            (Category::Server, _) => forwarded.server_name = Some(value),
            (Category::Port, _) => forwarded.server_port = Some(value),
            (Category::ScriptName, _) => forwarded.script_name = Some(value),
            (Category::Scheme, form) => forwarded.https = scheme_is_https(form, value).or(forwarded.https),
        }
    }

    /// The walk from the server outwards: each proxy that is trusted vouches for the address left of its own.
    fn believe_list<'r>(&self, forwarded: &mut Forwarded<'r>, list: &'r [u8]) {
        let entries: Vec<&[u8]> = list
            .split(|byte| *byte == b',')
            .map(<[u8]>::trim_ascii)
            .filter(|entry| !entry.is_empty())
            .collect();
        let Some(proxies) = self.proxies else {
            // Everyone is trusted, so the list is believed to its start.
            forwarded.remote_addr = entries.first().copied().or(forwarded.remote_addr);
            return;
        };
        let vouched = entries.iter().rev().take_while(|entry| is_within(proxies, entry)).count();
        let Some(last) = entries.len().checked_sub(1) else { return };
        // The client is the entry left of the trusted ones; when all are trusted, the first of them.
        let client = last.saturating_sub(vouched);
        forwarded.remote_addr = Some(entries[client]);
        forwarded.forwarded_for = Some(match &entries[client..] {
            [only] => Cow::Borrowed(*only),
            run => Cow::Owned(run.join(&b", "[..])),
        });
    }
}

impl<'s> Forwarded<'s> {
    /// Changes a request's variables and headers accordingly.
    pub fn apply<'r>(&'r self, variables: &mut Variables<'r>, headers: &mut Vec<Field<'r>>) {
        for (variable, value) in [
            (Variable::RemoteAddr, self.remote_addr),
            (Variable::ServerName, self.server_name),
            (Variable::ServerPort, self.server_port),
            (Variable::ScriptName, self.script_name),
            (Variable::MountPoint, self.script_name),
        ] {
            if value.is_some() {
                variables.set(variable, value);
            }
        }
        headers.retain(|field| !self.hides(&field.name));
        replace(headers, b"X-Forwarded-For", self.forwarded_for.as_deref());
        if let Some(host) = self.host
            && !replace(headers, b"Host", Some(host))
        {
            headers.push(Field::new(b"Host", host));
        }
    }

    /// Whether the application must not see this header, for it could mistake it for the truth.
    pub fn hides(&self, name: &[u8]) -> bool {
        // Nearly every header of a request fails this first test.
        matches!(name, [b'x' | b'X', b'-', ..])
            && ProxyHeader::named(name).is_some_and(|header| {
                let category = header.category as usize;
                self.listed[category] && self.believed[category] != Some(header)
            })
    }
}

fn replace<'r>(headers: &mut [Field<'r>], name: &[u8], value: Option<&'r [u8]>) -> bool {
    let Some(value) = value else { return false };
    let Some(field) = headers.iter_mut().find(|field| field.name.eq_ignore_ascii_case(name)) else {
        return false;
    };
    field.value = value.into();
    true
}

fn is_within(networks: &[Network], address: &[u8]) -> bool {
    let address = str::from_utf8(address).ok().and_then(|text| text.parse::<IpAddr>().ok());
    address.is_some_and(|address| networks.iter().any(|network| network.contains(address)))
}

fn scheme_is_https(form: Form, value: &[u8]) -> Option<bool> {
    let is_one_of = |words: &[&str]| words.iter().any(|word| word.as_bytes().eq_ignore_ascii_case(value));
    let (secure, plain): (&[&str], &[&str]) = match form {
        Form::Flag => (&["on", "true", "1"], &["off", "false", "0"]),
        _ => (&["https"], &["http"]),
    };
    is_one_of(secure).then_some(true).or_else(|| is_one_of(plain).then_some(false))
}

#[cfg(test)]
mod tests;
