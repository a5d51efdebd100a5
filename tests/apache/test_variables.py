"""Variables other modules set: SetEnv, mod_ssl, authentication, redirects."""

from __future__ import annotations

import ssl

import pytest
import trustme

# Whether mod_ssl was built with the very OpenSSL that runs is the distribution's affair.
pytestmark = pytest.mark.allows("AH01882")

HASHED = "user:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n"  # the password is "password"


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def server(start_shared, authority):
    certificate = authority.issue_cert("localhost")
    return start_shared(
        """
        SSLSessionCache shmcb:${root}/run/tls(512000)
        SetEnv PLAIN value
        SetEnv NON_ASCII smørrebrød
        SetEnvIf X-Marked ^(.+)$ MARK=$1
        SetEnv REQUEST_METHOD FORGED
        SetEnv HTTPS on-this-is-not
        UnsetEnv NOT_THERE
        WSGIScriptAlias /environ "${apps}/environ.wsgi"
        WSGIScriptAlias /tls-by-variable "${apps}/environ.wsgi"
        <Location "/tls-by-variable">
            SetEnv HTTPS On
        </Location>
        WSGIScriptAlias /protected "${apps}/environ.wsgi"
        <Location "/protected">
            AuthType Basic
            AuthName "a realm"
            AuthUserFile "${root}/users"
            Require valid-user
        </Location>
        WSGIScriptAlias /cgi-pass "${apps}/environ.wsgi"
        <Location "/cgi-pass">
            CGIPassAuth On
        </Location>
        WSGIScriptAlias /cgi-var "${apps}/environ.wsgi"
        <Location "/cgi-var">
            CGIVar REQUEST_URI current-uri
        </Location>
        <Location "/rewritten">
            RewriteEngine On
            RewriteRule . /environ/target?from=rule [PT,E=BY_RULE:yes]
        </Location>
        Listen 127.0.0.1:${port2} https
        <VirtualHost 127.0.0.1:${port2}>
            SSLEngine On
            SSLCertificateFile "${root}/server.pem"
            <Location "/environ/with">
                SSLOptions +StdEnvVars
            </Location>
        </VirtualHost>
        """,
        modules=["ssl", "socache_shmcb", "authn_core", "authn_file", "auth_basic", "authz_user", "rewrite"],
        files={"server.pem": certificate.private_key_and_cert_chain_pem.bytes(), "users": HASHED},
    )


@pytest.fixture
def tls_environ(server, authority):
    """The environ of a request through TLS."""
    context = ssl.create_default_context()
    authority.configure_trust(context)

    def fetch(path):
        with server.client(base_url=f"https://localhost:{server.port2}", verify=context) as client:
            return {key: value for key, (_type, value) in client.get(path).json().items()}

    return fetch


def test_set_env(server, environ_of):
    shown = environ_of(server, "/environ", headers={"X-Marked": "by a header"})
    assert shown["PLAIN"] == "value"
    assert shown["NON_ASCII"] == "smørrebrød".encode().decode("latin-1")
    assert shown["MARK"] == "by a header"


def test_set_env_does_not_replace_what_the_module_knows(server, environ_of):
    assert environ_of(server, "/environ")["REQUEST_METHOD"] == "GET"


def test_https_is_a_signal_not_a_variable(server, environ_of):
    shown = environ_of(server, "/environ")
    assert "HTTPS" not in shown
    assert shown["wsgi.url_scheme"] == "http"
    assert environ_of(server, "/tls-by-variable")["wsgi.url_scheme"] == "https"


def test_tls(tls_environ, server):
    shown = tls_environ("/environ/without")
    assert shown["wsgi.url_scheme"] == "https"
    assert shown["REQUEST_SCHEME"] == "https"
    assert shown["SERVER_PORT"] == str(server.port2)
    assert "HTTPS" not in shown
    assert "SSL_PROTOCOL" not in shown


def test_tls_variables(tls_environ):
    shown = tls_environ("/environ/with")
    assert shown["SSL_PROTOCOL"].startswith("TLSv1")
    assert shown["SSL_CIPHER"]
    assert "HTTPS" not in shown


def test_authentication(server, environ_of):
    assert server.get("/protected").status_code == 401
    shown = environ_of(server, "/protected", auth=("user", "password"))
    assert shown["REMOTE_USER"] == "user"
    assert shown["AUTH_TYPE"] == "Basic"
    assert "HTTP_AUTHORIZATION" not in shown


def test_cgi_pass_auth(server, environ_of):
    shown = environ_of(server, "/cgi-pass", headers={"Authorization": "x", "Proxy-Authorization": "y"})
    assert shown["HTTP_AUTHORIZATION"] == "x"
    assert shown["HTTP_PROXY_AUTHORIZATION"] == "y"


def test_cgi_var(server, environ_of):
    assert environ_of(server, "/cgi-var/caf%C3%A9?x=1")["REQUEST_URI"].startswith("/cgi-var/caf")


def test_rewritten(server, environ_of):
    shown = environ_of(server, "/rewritten/page?old=1")
    assert shown["SCRIPT_NAME"] == "/environ"
    assert shown["PATH_INFO"] == "/target"
    assert shown["QUERY_STRING"] == "from=rule"
    assert shown["REQUEST_URI"] == "/rewritten/page?old=1"
