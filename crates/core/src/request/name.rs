//! Names that a directive gives and a request completes: process groups, application groups, callables.
//!
//! The text is looked at once, when the directive is read; for a literal, a request then costs nothing. Where values
//! come from is the caller's [`NameSource`], asked only for what the name needs.

use std::io::Write;
use std::sync::Arc;

/// What a request knows that a name may ask for.
pub trait NameSource {
    /// The virtual host's configured name.
    fn server_name(&self) -> &[u8];

    /// The server's canonical port.
    fn port(&self) -> u16;

    /// Host name of the request, without a port; `None` when it has none.
    fn host(&self) -> Option<&[u8]>;

    /// `SCRIPT_NAME`, duplicate slashes already collapsed.
    fn script_name(&self) -> &[u8];

    /// Whether `%{RESOURCE}` keeps the case of `SCRIPT_NAME` (`WSGICaseSensitivity`).
    fn case_sensitivity(&self) -> bool;

    /// The variable of that name: from the request's notes, else its variables, else the process's environment.
    fn environment(&self, name: &[u8]) -> Option<&[u8]>;
}

const ENVIRONMENT: &[u8] = b"%{ENV:";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Global,
    Server,
    Host,
    Resource,
    Environment,
    Literal,
}

impl Kind {
    fn of(text: &[u8]) -> Self {
        match text {
            b"%{GLOBAL}" => Self::Global,
            b"%{SERVER}" => Self::Server,
            b"%{HOST}" => Self::Host,
            b"%{RESOURCE}" => Self::Resource,
            _ if variable(text).is_some() => Self::Environment,
            _ => Self::Literal,
        }
    }
}

/// `x` of `%{ENV:x}`.
fn variable(text: &[u8]) -> Option<&[u8]> {
    text.strip_prefix(ENVIRONMENT)?.strip_suffix(b"}")
}

/// A group name as configured. Cheap to clone: settings are merged while requests are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    kind: Kind,
    text: Arc<[u8]>,
}

impl Name {
    /// Reads a directive's word. Every text is a name: what looks like no known expression is literal.
    pub fn new(text: &[u8]) -> Self {
        Self { kind: Kind::of(text), text: text.into() }
    }

    /// As configured.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The name when no request is needed to know it.
    pub fn fixed(&self) -> Option<&[u8]> {
        match self.kind {
            Kind::Global => Some(b""),
            Kind::Literal => Some(&self.text),
            _ => None,
        }
    }

    /// Borrowed, for a request.
    #[inline]
    pub fn as_expression(&self) -> Expression<'_> {
        Expression { kind: self.kind, text: &self.text }
    }
}

/// A group name that a request completes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expression<'a> {
    kind: Kind,
    text: &'a [u8],
}

impl<'a> Expression<'a> {
    /// `%{GLOBAL}`: the empty name, which is embedded mode or the main interpreter.
    pub const GLOBAL: Self = Self { kind: Kind::Global, text: b"%{GLOBAL}" };
    /// `%{RESOURCE}`: server and `SCRIPT_NAME`, one name for each mount point.
    pub const RESOURCE: Self = Self { kind: Kind::Resource, text: b"%{RESOURCE}" };

    /// The name for this request. `buffer` is overwritten when the name has to be put together, and left alone when
    /// it exists already.
    #[inline]
    pub fn expand<'r>(self, source: &'r impl NameSource, buffer: &'r mut Vec<u8>) -> &'r [u8]
    where
        'a: 'r,
    {
        match self.kind {
            Kind::Global => b"",
            Kind::Literal => self.text,
            Kind::Environment => self.look_up(source, buffer),
            kind => assemble(kind, source, buffer),
        }
    }

    fn look_up<'r>(self, source: &'r impl NameSource, buffer: &'r mut Vec<u8>) -> &'r [u8]
    where
        'a: 'r,
    {
        let Some(value) = variable(self.text).and_then(|name| source.environment(name)) else {
            return self.text;
        };
        match Kind::of(value) {
            Kind::Global => b"",
            // A variable that names a variable is not followed: the two could name each other.
            Kind::Environment | Kind::Literal => value,
            kind => assemble(kind, source, buffer),
        }
    }
}

fn assemble<'r>(kind: Kind, source: &impl NameSource, buffer: &'r mut Vec<u8>) -> &'r [u8] {
    let host = if kind == Kind::Host { source.host().filter(|host| !host.is_empty()) } else { None };
    buffer.clear();
    buffer.extend_from_slice(host.unwrap_or_else(|| source.server_name()));
    let port = source.port();
    if !matches!(port, 80 | 443) {
        // Writing to a vector cannot fail.
        let _ = write!(buffer, ":{port}");
    }
    if kind == Kind::Resource {
        buffer.push(b'|');
        let start = buffer.len();
        buffer.extend_from_slice(source.script_name());
        if !source.case_sensitivity() {
            buffer[start..].make_ascii_lowercase();
        }
    }
    buffer
}

/// The callable's name as configured (`WSGICallableObject`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallableName {
    text: Arc<[u8]>,
}

impl CallableName {
    /// Reads a directive's word.
    pub fn new(text: &[u8]) -> Self {
        Self { text: text.into() }
    }

    /// Borrowed, for a request.
    #[inline]
    pub fn as_callable(&self) -> Callable<'_> {
        match &*self.text {
            text if variable(text).is_some() => Callable::Environment(text),
            [b'%', ..] => Callable::DEFAULT,
            text => Callable::Literal(text),
        }
    }

    /// Borrowed as it stands: the `callable-object=` option is not expanded.
    #[inline]
    pub fn as_literal(&self) -> Callable<'_> {
        Callable::Literal(&self.text)
    }
}

/// The callable's name, which a request may complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callable<'a> {
    /// This name.
    Literal(&'a [u8]),
    /// The value of the variable in `%{ENV:x}`, else [`Callable::DEFAULT`].
    Environment(&'a [u8]),
}

impl<'a> Callable<'a> {
    /// `application` (PEP 3333 names no callable; this is what every server looks for first).
    pub const DEFAULT: Self = Self::Literal(b"application");
    /// What a handler script defines (`WSGIHandlerScript`).
    pub const HANDLER: Self = Self::Literal(b"handle_request");

    /// The name for this request.
    #[inline]
    pub fn expand<'r>(self, source: &'r impl NameSource) -> &'r [u8]
    where
        'a: 'r,
    {
        match self {
            Self::Literal(name) => name,
            Self::Environment(text) => {
                variable(text).and_then(|name| source.environment(name)).unwrap_or(b"application")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Request {
        port: u16,
        host: Option<&'static [u8]>,
        script_name: &'static [u8],
        case_sensitivity: bool,
        environment: &'static [(&'static str, &'static str)],
    }

    const REQUEST: Request = Request {
        port: 8971,
        host: Some(b"shop.example"),
        script_name: b"/Shop",
        case_sensitivity: true,
        environment: &[],
    };

    impl NameSource for Request {
        fn server_name(&self) -> &[u8] {
            b"www.example"
        }
        fn port(&self) -> u16 {
            self.port
        }
        fn host(&self) -> Option<&[u8]> {
            self.host
        }
        fn script_name(&self) -> &[u8] {
            self.script_name
        }
        fn case_sensitivity(&self) -> bool {
            self.case_sensitivity
        }
        fn environment(&self, name: &[u8]) -> Option<&[u8]> {
            let (_, value) = self.environment.iter().find(|(key, _)| key.as_bytes() == name)?;
            Some(value.as_bytes())
        }
    }

    fn expanded(text: &str, request: &Request) -> String {
        let mut buffer = b"left over".to_vec();
        let name = Name::new(text.as_bytes());
        String::from_utf8(name.as_expression().expand(request, &mut buffer).to_vec()).unwrap()
    }

    #[test]
    fn expressions() {
        assert_eq!(expanded("%{GLOBAL}", &REQUEST), "");
        assert_eq!(expanded("%{SERVER}", &REQUEST), "www.example:8971");
        assert_eq!(expanded("%{HOST}", &REQUEST), "shop.example:8971");
        assert_eq!(expanded("%{RESOURCE}", &REQUEST), "www.example:8971|/Shop");
    }

    #[test]
    fn everything_else_is_literal() {
        for text in ["blog", "", "%", "%{global}", "%{OTHER}", "%{SERVER}x", "a%{HOST}", "%{ENV:X"] {
            assert_eq!(expanded(text, &REQUEST), text);
        }
    }

    #[test]
    fn the_ports_of_http_and_https_are_left_out() {
        for port in [80, 443] {
            let request = Request { port, script_name: b"", ..REQUEST };
            assert_eq!(expanded("%{SERVER}", &request), "www.example");
            assert_eq!(expanded("%{RESOURCE}", &request), "www.example|");
        }
    }

    #[test]
    fn without_a_host_it_is_the_server() {
        for host in [None, Some(&b""[..])] {
            assert_eq!(expanded("%{HOST}", &Request { host, ..REQUEST }), "www.example:8971");
        }
    }

    #[test]
    fn only_the_script_name_goes_to_lower_case() {
        let request = Request { case_sensitivity: false, ..REQUEST };
        assert_eq!(expanded("%{RESOURCE}", &request), "www.example:8971|/shop");
    }

    #[test]
    fn variables() {
        let environment = &[
            ("PLAIN", "blog"),
            ("AGAIN", "%{RESOURCE}"),
            ("MAIN", "%{GLOBAL}"),
            ("TWICE", "%{ENV:PLAIN}"),
            ("EMPTY", ""),
        ];
        let request = Request { environment, ..REQUEST };
        assert_eq!(expanded("%{ENV:PLAIN}", &request), "blog");
        assert_eq!(expanded("%{ENV:AGAIN}", &request), "www.example:8971|/Shop");
        assert_eq!(expanded("%{ENV:MAIN}", &request), "");
        assert_eq!(expanded("%{ENV:TWICE}", &request), "%{ENV:PLAIN}");
        assert_eq!(expanded("%{ENV:EMPTY}", &request), "");
        assert_eq!(expanded("%{ENV:MISSING}", &request), "%{ENV:MISSING}");
    }

    #[test]
    fn a_literal_leaves_the_buffer_alone() {
        let mut buffer = b"x".to_vec();
        let name = Name::new(b"blog");
        assert_eq!(name.as_expression().expand(&REQUEST, &mut buffer), b"blog");
        assert_eq!(buffer, b"x");
    }

    #[test]
    fn names_known_without_a_request() {
        assert_eq!(Name::new(b"%{GLOBAL}").fixed(), Some(&b""[..]));
        assert_eq!(Name::new(b"blog").fixed(), Some(&b"blog"[..]));
        assert_eq!(Name::new(b"%{HOST}").fixed(), None);
        assert_eq!(Name::new(b"%{ENV:X}").fixed(), None);
    }

    #[test]
    fn callables() {
        let request = Request { environment: &[("ENTRY", "app")], ..REQUEST };
        let callable = |text: &str| {
            let name = CallableName::new(text.as_bytes());
            String::from_utf8(name.as_callable().expand(&request).to_vec()).unwrap()
        };
        assert_eq!(callable("main"), "main");
        assert_eq!(callable("%"), "application");
        assert_eq!(callable("%{GLOBAL}"), "application");
        assert_eq!(callable("%{ENV:ENTRY}"), "app");
        assert_eq!(callable("%{ENV:MISSING}"), "application");
        let verbatim = CallableName::new(b"%{ENV:ENTRY}");
        assert_eq!(verbatim.as_literal().expand(&request), b"%{ENV:ENTRY}");
    }
}
