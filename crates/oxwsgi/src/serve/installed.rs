//! The server that is installed and was asked for: what the rest of the command needs of it, whichever it is. The rooms of
//! the servers know how.

#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use crate::cli::{ServeOptions, ServerKind};
use crate::problem::Problem;
use crate::serve::events::Ready;
use crate::serve::httpd::program::Httpd;
use crate::serve::library::ModuleFile;
use crate::serve::log_view::{AccessLine, ErrorLine};
use crate::serve::nginx::program::Nginx;
use crate::serve::site::Site;
use crate::serve::{httpd, nginx};

/// An installed server.
#[derive(Clone, Debug)]
pub enum Installed {
    /// Apache httpd.
    Httpd(Httpd),
    /// nginx.
    Nginx(Nginx),
}

impl Installed {
    /// Finds the server that `options` ask for.
    ///
    /// # Errors
    /// It is not installed, or cannot do what they ask of it.
    pub fn find(options: &ServeOptions) -> Result<Self, Problem> {
        match options.server {
            ServerKind::Apache if options.nginx.is_some() => {
                Err(Problem::new("--nginx names a program that is not run")
                    .detail("Apache httpd runs unless nginx is asked for.")
                    .cure("ask for nginx: --server nginx"))
            }
            ServerKind::Apache => Httpd::find(options.httpd.as_deref()).map(Self::Httpd),
            ServerKind::Nginx if options.embedded => {
                Err(Problem::new("--embedded is for Apache httpd: nginx's own processes run no Python")
                    .cure("leave --embedded away: the application runs in processes of its own")
                    .cure("run it inside httpd: --server apache"))
            }
            ServerKind::Nginx if options.httpd.is_some() => {
                Err(Problem::new("--httpd names a program that is not run")
                    .cure("leave it away, or --server nginx"))
            }
            ServerKind::Nginx => Nginx::find(options.nginx.as_deref()).map(Self::Nginx),
        }
    }

    /// For messages.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Httpd(_) => "httpd",
            Self::Nginx(_) => "nginx",
        }
    }

    /// `Apache/2.4.71`, `nginx/1.22.1`.
    pub fn version(&self) -> String {
        match self {
            Self::Httpd(httpd) => httpd.version.split(' ').next().unwrap_or_default().to_owned(),
            Self::Nginx(nginx) => format!("nginx/{}", nginx.version),
        }
    }

    /// The directory of its modules.
    pub fn modules(&self) -> PathBuf {
        match self {
            Self::Httpd(httpd) => httpd.modules().to_path_buf(),
            Self::Nginx(nginx) => nginx.modules(),
        }
    }

    /// What it loads.
    pub const fn module_file(&self) -> &'static ModuleFile {
        match self {
            Self::Httpd(_) => &httpd::MODULE,
            Self::Nginx(_) => &nginx::MODULE,
        }
    }

    /// The longest name of a socket below the directory of its runtime files.
    pub const fn longest_socket(&self) -> &'static str {
        match self {
            Self::Httpd(_) => httpd::LONGEST_SOCKET,
            Self::Nginx(_) => nginx::LONGEST_SOCKET,
        }
    }

    /// The name of its configuration file.
    pub const fn file_name(&self) -> &'static str {
        match self {
            Self::Httpd(_) => "httpd.conf",
            Self::Nginx(_) => "nginx.conf",
        }
    }

    /// The configuration of `site`.
    ///
    /// # Errors
    /// Something that it needs is not installed, or a path cannot be written in it.
    pub fn configuration(&self, site: Site) -> Result<String, Problem> {
        match self {
            Self::Httpd(httpd) => httpd::configure(httpd, site)?.text(),
            Self::Nginx(nginx) => nginx::configuration::Configuration::new(nginx, site).text(),
        }
    }

    /// What starts it in the foreground with the configuration `file`, and `root` for what it keeps while it runs.
    pub fn command(&self, root: &Path, file: &Path) -> Command {
        match self {
            Self::Httpd(httpd) => httpd::command(httpd, root, file),
            Self::Nginx(nginx) => nginx::command(nginx, root, file),
        }
    }

    /// Where it answers when it is ready; others reach it at `address`.
    pub fn ready(&self, address: SocketAddr, root: &Path) -> Ready {
        match self {
            Self::Httpd(_) => Ready::Address(address),
            Self::Nginx(_) => Ready::Socket(nginx::ready_socket(root)),
        }
    }

    /// The signal that ends it, its requests in progress finished in a few seconds. nginx heeds only those that end any
    /// program while it starts.
    pub const fn stop_signal(&self, is_ready: bool) -> Signal {
        match self {
            Self::Nginx(_) if is_ready => Signal::QUIT,
            Self::Httpd(_) | Self::Nginx(_) => Signal::TERM,
        }
    }

    /// What takes its logs apart.
    pub fn logs(&self) -> Logs {
        match self {
            Self::Httpd(_) => Logs::Httpd,
            Self::Nginx(_) => Logs::Nginx(nginx::log::Reader::default()),
        }
    }

    /// What it means that it has ended before it was ready, with these last words, if more can be said than they say.
    pub fn explain(&self, words: &[String], module: &Path) -> Option<Problem> {
        match self {
            Self::Httpd(_) => None,
            Self::Nginx(nginx) => nginx::refusal::explain(words, nginx, module),
        }
    }
}

/// Takes the logs of one run apart.
#[derive(Debug)]
pub enum Logs {
    /// Those of httpd.
    Httpd,
    /// Those of nginx.
    Nginx(nginx::log::Reader),
}

impl Logs {
    /// A line of standard output; `None` when it is not of the access log.
    pub fn access(&self, line: &str) -> Option<AccessLine> {
        match self {
            Self::Httpd => httpd::log::access(line),
            Self::Nginx(_) => nginx::log::access(line),
        }
    }

    /// A line of standard error; `None` when it is not of the error log.
    pub fn error(&mut self, line: &str) -> Option<ErrorLine> {
        match self {
            Self::Httpd => httpd::log::error(line),
            Self::Nginx(reader) => reader.error(line),
        }
    }
}
