//! Tests of [`super`]: beside it for their length.

use super::*;

const PEER: &[u8] = b"10.0.0.1";
const PROXIES: &[&str] = &["10.0.0.0/8", "2001:db8::/32"];

type Headers<'a> = &'a [(&'a str, &'a str)];

/// Resolves and applies: `REMOTE_ADDR`, other variables, headers, https.
struct Seen {
    remote_addr: String,
    server: (String, String),
    script_name: String,
    mount_point: Option<String>,
    headers: Vec<(String, String)>,
    https: Option<bool>,
}

impl Seen {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| &**value)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn see(trusted: &[&str], proxies: Option<&[&str]>, peer: &[u8], headers: Headers<'_>) -> Seen {
    let networks: Option<Vec<Network>> =
        proxies.map(|proxies| proxies.iter().map(|network| network.parse().unwrap()).collect());
    let names: Vec<_> = trusted.iter().map(|name| ProxyHeader::named(name.as_bytes()).unwrap()).collect();
    let mut fields: Vec<_> =
        headers.iter().map(|(name, value)| Field::new(name.as_bytes(), value.as_bytes())).collect();
    let mut variables = Variables::EMPTY;
    for (variable, value) in [
        (Variable::RemoteAddr, peer),
        (Variable::ServerName, b"inner"),
        (Variable::ServerPort, b"8080"),
        (Variable::ScriptName, b"/app"),
    ] {
        variables.set(variable, value);
    }
    let forwarded = Trust { proxies: networks.as_deref(), headers: &names }.resolve(peer, &fields);
    forwarded.apply(&mut variables, &mut fields);
    let variable = |variable| text(variables.get(variable).unwrap());
    Seen {
        remote_addr: variable(Variable::RemoteAddr),
        server: (variable(Variable::ServerName), variable(Variable::ServerPort)),
        script_name: variable(Variable::ScriptName),
        mount_point: variables.get(Variable::MountPoint).map(text),
        headers: fields.iter().map(|field| (text(&field.name), text(&field.value))).collect(),
        https: forwarded.https,
    }
}

/// `REMOTE_ADDR` and `HTTP_X_FORWARDED_FOR` for a list that came through trusted networks.
fn walk(list: &str) -> (String, String) {
    let seen = see(&["X-Forwarded-For"], Some(PROXIES), PEER, &[("x-forwarded-for", list)]);
    let header = seen.header("x-forwarded-for").unwrap().to_owned();
    (seen.remote_addr, header)
}

fn pair(address: &str, list: &str) -> (String, String) {
    (address.to_owned(), list.to_owned())
}

#[test]
fn the_walk_ends_left_of_the_last_trusted_proxy() {
    assert_eq!(walk("6.6.6.6, 1.2.3.4, 10.0.0.9,10.0.0.8"), pair("1.2.3.4", "1.2.3.4, 10.0.0.9, 10.0.0.8"));
    assert_eq!(walk("1.2.3.4, 2001:db8::5"), pair("1.2.3.4", "1.2.3.4, 2001:db8::5"));
}

#[test]
fn all_trusted_means_the_first() {
    assert_eq!(walk("10.0.0.9, 10.0.0.8"), pair("10.0.0.9", "10.0.0.9, 10.0.0.8"));
    assert_eq!(walk("10.0.0.9"), pair("10.0.0.9", "10.0.0.9"));
}

#[test]
fn none_trusted_means_the_last() {
    assert_eq!(walk("10.0.0.9, 6.6.6.6, 1.2.3.4"), pair("1.2.3.4", "1.2.3.4"));
}

#[test]
fn what_is_no_address_ends_the_walk() {
    assert_eq!(walk("1.2.3.4, proxy.example, 10.0.0.8"), pair("proxy.example", "proxy.example, 10.0.0.8"));
    assert_eq!(walk("10.0.0.8:99"), pair("10.0.0.8:99", "10.0.0.8:99"));
}

#[test]
fn empty_entries_do_not_count() {
    assert_eq!(walk(" , 1.2.3.4 ,, 10.0.0.8 ,"), pair("1.2.3.4", "1.2.3.4, 10.0.0.8"));
    assert_eq!(walk(" , "), pair("10.0.0.1", " , "));
    assert_eq!(walk(""), pair("10.0.0.1", ""));
}

#[test]
fn without_proxies_the_first_entry_is_the_client() {
    let headers: Headers<'_> = &[("X-Forwarded-For", " ,1.2.3.4, 5.6.7.8")];
    let seen = see(&["X-Forwarded-For"], None, b"9.9.9.9", headers);
    assert_eq!(seen.remote_addr, "1.2.3.4");
    assert_eq!(seen.header("X-Forwarded-For"), Some(" ,1.2.3.4, 5.6.7.8"));
}

const ALL: Headers<'_> = &[
    ("Host", "inner:8080"),
    ("X-Real-IP", "1.2.3.4"),
    ("X-Client-IP", "4.3.2.1"),
    ("X-Forwarded-Host", "shop.example"),
    ("X-Forwarded-Server", "front"),
    ("X-Forwarded-Port", "443"),
    ("X-Script-Name", "/shop"),
    ("X-Forwarded-Proto", "HTTPS"),
    ("X-HTTPS", "off"),
    ("X-Other", "kept"),
];

#[test]
fn each_category_has_its_effect() {
    let trusted = [
        "X-Real-IP",
        "X-Forwarded-Host",
        "X-Forwarded-Server",
        "X-Forwarded-Port",
        "X-Script-Name",
        "X-Forwarded-Proto",
    ];
    let seen = see(&trusted, Some(PROXIES), PEER, ALL);
    assert_eq!(seen.remote_addr, "1.2.3.4");
    assert_eq!(seen.header("Host"), Some("shop.example"));
    assert_eq!(seen.server, ("front".to_owned(), "443".to_owned()));
    assert_eq!((&*seen.script_name, seen.mount_point.as_deref()), ("/shop", Some("/shop")));
    assert_eq!(seen.https, Some(true));
    // The others of a category are hidden, the believed ones and those of no category stay.
    assert_eq!(seen.header("X-Client-IP"), None);
    assert_eq!(seen.header("X-HTTPS"), None);
    assert_eq!(seen.header("X-Real-IP"), Some("1.2.3.4"));
    assert_eq!(seen.header("X-Other"), Some("kept"));
}

#[test]
fn an_untrusted_peer_is_not_believed_and_its_headers_are_hidden() {
    for peer in [&b"11.0.0.1"[..], b"", b"unix:"] {
        let seen = see(&["X-Real-IP", "X-Forwarded-Proto"], Some(PROXIES), peer, ALL);
        assert_eq!(seen.remote_addr.as_bytes(), peer);
        assert_eq!(seen.https, None);
        for hidden in ["X-Real-IP", "X-Client-IP", "X-Forwarded-Proto", "X-HTTPS"] {
            assert_eq!(seen.header(hidden), None, "{hidden}");
        }
        // Not a listed category.
        assert_eq!(seen.header("X-Forwarded-Host"), Some("shop.example"));
        assert_eq!(seen.header("Host"), Some("inner:8080"));
    }
}

#[test]
fn the_last_present_header_of_a_category_wins() {
    let seen = see(&["X-Real-IP", "X-Client-IP", "X-Forwarded-For"], None, PEER, ALL);
    assert_eq!(seen.remote_addr, "4.3.2.1");
    assert_eq!(seen.header("X-Real-IP"), None);
    assert_eq!(seen.header("X-Client-IP"), Some("4.3.2.1"));
}

#[test]
fn schemes() {
    let scheme = |name, value| see(&[name], None, PEER, &[(name, value)]).https;
    for name in ["X-Forwarded-Proto", "X-Forwarded-Scheme", "X-Scheme"] {
        assert_eq!(scheme(name, "https"), Some(true));
        assert_eq!(scheme(name, "Http"), Some(false));
        assert_eq!(scheme(name, "on"), None);
    }
    for name in ["X-Forwarded-HTTPS", "X-Forwarded-SSL", "X-HTTPS"] {
        for (value, https) in
            [("On", true), ("true", true), ("1", true), ("OFF", false), ("false", false), ("0", false)]
        {
            assert_eq!(scheme(name, value), Some(https));
        }
        assert_eq!(scheme(name, "https"), None);
    }
}

#[test]
fn a_request_without_a_host_gets_one() {
    let seen = see(&["X-Host"], None, PEER, &[("X-Host", "shop.example")]);
    assert_eq!(seen.header("Host"), Some("shop.example"));
}
