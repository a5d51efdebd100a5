//! What settings are called in the configuration of each server, so that a message names them as its reader has written them.

#![forbid(unsafe_code)]

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The configuration of one kind of server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Dialect {
    /// Apache httpd.
    #[default]
    Httpd,
    /// nginx.
    Nginx,
}

impl Dialect {
    /// The server.
    pub const fn server(self) -> &'static str {
        self.choose("httpd", "nginx")
    }

    /// The directive that defines a daemon group.
    pub const fn daemon_process(self) -> &'static str {
        self.choose("WSGIDaemonProcess", "wsgi_daemon_process")
    }

    /// The directive that names the home of all Pythons that have none of their own.
    pub const fn python_home(self) -> &'static str {
        self.choose("WSGIPythonHome", "wsgi_python_home")
    }

    /// The directive that says where the sockets of daemon groups are.
    pub const fn socket_prefix(self) -> &'static str {
        self.choose("WSGISocketPrefix", "wsgi_socket_prefix")
    }

    /// The directive that says which interpreter runs an application.
    pub const fn application_group(self) -> &'static str {
        self.choose("WSGIApplicationGroup", "wsgi_application_group")
    }

    /// The directive that names the user of the server's own processes.
    pub const fn user(self) -> &'static str {
        self.choose("User", "user")
    }

    /// The setting that says for how long it is tried to reach a daemon group.
    pub const fn connect_timeout(self) -> &'static str {
        self.choose("connect-timeout", "wsgi_connect_timeout")
    }

    /// An option of a daemon group, which is given in httpd's spelling.
    pub fn option(self, name: &str) -> Cow<'_, str> {
        match self {
            Self::Httpd => Cow::Borrowed(name),
            Self::Nginx => Cow::Owned(name.replace('-', "_")),
        }
    }

    const fn choose(self, httpd: &'static str, nginx: &'static str) -> &'static str {
        match self {
            Self::Httpd => httpd,
            Self::Nginx => nginx,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_spelled_as_their_server_does() {
        assert_eq!(Dialect::Httpd.option("python-home"), "python-home");
        assert_eq!(Dialect::Nginx.option("cpu-time-limit"), "cpu_time_limit");
    }
}
