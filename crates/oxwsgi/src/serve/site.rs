//! What a server is configured with, whichever server it is: the application, where it runs and where it is reached. The
//! rooms of the servers write it in the words of each; [`Site::capacity`] and [`Site::connections`] hold for all.

#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::path::PathBuf;

/// In front of the application's processes: connections beside those whose requests it works on. They wait for it, or get
/// a static file.
pub const WAITING: u32 = 64;

/// Requests that may wait for a group when nothing else is said (`listen-backlog`).
pub const USUAL_BACKLOG: u32 = 100;

/// Seconds that requests have to finish when their process is replaced, as `--reload` does, or when all ends.
pub const FINISHING: u32 = 5;

/// For a system without a file of MIME types, what a web page is made of: types, and the endings of their files.
pub const MIME_TYPES: [(&str, &str); 14] = [
    ("text/html", "html htm"),
    ("text/css", "css"),
    ("text/javascript", "js mjs"),
    ("text/plain", "txt"),
    ("application/json", "json map"),
    ("image/svg+xml", "svg"),
    ("image/png", "png"),
    ("image/jpeg", "jpg jpeg"),
    ("image/gif", "gif"),
    ("image/webp", "webp"),
    ("image/vnd.microsoft.icon", "ico"),
    ("font/woff2", "woff2"),
    ("application/wasm", "wasm"),
    ("application/pdf", "pdf"),
];

/// Everything that a configuration says and that no server is asked for.
#[derive(Clone, Debug)]
pub struct Site {
    /// What it is written for.
    pub purpose: Purpose,
    /// User and group of the server's processes, when it starts as root.
    pub account: Option<(String, String)>,
    /// Where to listen.
    pub listen: Vec<SocketAddr>,
    /// Directory of the server's runtime files.
    pub runtime: PathBuf,
    /// The server's module.
    pub module: PathBuf,
    /// `sys.prefix` of the application's Python.
    pub python_home: PathBuf,
    /// Where the application runs.
    pub placement: Placement,
    /// Requests that one of its processes works on at once.
    pub threads: u16,
    /// The script that is loaded.
    pub script: PathBuf,
    /// The name of its callable.
    pub callable: String,
    /// What to put on `sys.path`; nothing when the script does that itself.
    pub python_path: Option<PathBuf>,
    /// URL path of the application.
    pub mount: String,
    /// URL paths of static files, and the files' absolute paths.
    pub statics: Vec<(String, PathBuf)>,
}

/// What a configuration is written for.
#[derive(Clone, Debug)]
pub enum Purpose {
    /// To run now: logs in our own form, and a script that reports whether the application was imported.
    Run {
        /// That script.
        report: PathBuf,
    },
    /// To be read, and moved to the reader's own server: says so in its head.
    Show {
        /// Lines to put there, such as a script that has to be saved.
        notes: Vec<String>,
    },
}

/// Where the application runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// In processes of its own beside the server's.
    Daemon(Group),
    /// Inside the server's own processes.
    Embedded,
}

/// The application's own processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name: letters, digits, `_`, `-` and `.`.
    pub name: String,
    /// How many processes.
    pub processes: u16,
    /// Their working directory, where imports start; without one they stay in the directory the server was started in.
    pub directory: Option<PathBuf>,
}

impl Group {
    /// `text` with what a group's name cannot have replaced.
    pub fn name_of(text: &str) -> String {
        let letter = |c: char| if c.is_ascii_alphanumeric() || "_-.".contains(c) { c } else { '_' };
        let name: String = text.chars().map(letter).take(32).collect();
        if name.contains(|c: char| c.is_ascii_alphanumeric()) { name } else { "application".to_owned() }
    }
}

impl Site {
    /// Whether it is written to be run now.
    pub const fn is_run(&self) -> bool {
        matches!(self.purpose, Purpose::Run { .. })
    }

    /// How many requests the application works on at once.
    pub fn capacity(&self) -> u32 {
        let processes = match &self.placement {
            Placement::Daemon(group) => group.processes,
            Placement::Embedded => 1,
        };
        u32::from(processes) * u32::from(self.threads)
    }

    /// How many connections the server works on at once.
    pub fn connections(&self) -> u32 {
        match self.placement {
            Placement::Daemon(_) => self.capacity() + WAITING,
            Placement::Embedded => self.capacity(),
        }
    }
}

#[cfg(test)]
impl Site {
    /// An application in two processes, with static files below a name that has wildcards.
    pub fn sample(purpose: Purpose, module: &str) -> Self {
        Self {
            purpose,
            account: Some(("www-data".to_owned(), "www-data".to_owned())),
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 8000))],
            runtime: PathBuf::from("/tmp/run"),
            module: PathBuf::from(module),
            python_home: PathBuf::from("/srv/venv"),
            placement: Placement::Daemon(Group {
                name: "shop".to_owned(),
                processes: 2,
                directory: Some(PathBuf::from("/srv/shop")),
            }),
            threads: 4,
            script: PathBuf::from("/srv/shop/app.py"),
            callable: "app".to_owned(),
            python_path: None,
            mount: "/".to_owned(),
            statics: vec![("/static".to_owned(), PathBuf::from("/srv/shop/a[1]"))],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_a_name_that_servers_take() {
        assert_eq!(Group::name_of("my-shop_2.0"), "my-shop_2.0");
        assert_eq!(Group::name_of("%{x} é\"y"), "__x____y");
        assert_eq!(Group::name_of(""), "application");
        assert_eq!(Group::name_of("/"), "application");
    }
}
