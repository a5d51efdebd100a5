//! The installed nginx: its program, where its modules are, its MIME types, and what to install when it is missing.

#![forbid(unsafe_code)]

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::problem::Problem;
use crate::serve::packages::install_command;

/// Names a program in place of the one on PATH. `NGINX` is nginx's own.
const VARIABLE: &str = "OXWSGI_NGINX";

/// Where distributions keep it when an ordinary user's PATH does not lead there.
const SYSTEM_DIRECTORIES: [&str; 7] = [
    "/usr/sbin",
    "/usr/local/sbin",
    "/sbin",
    "/usr/local/nginx/sbin",
    "/opt/nginx/sbin",
    "/usr/local/bin",
    "/opt/homebrew/bin",
];

/// Its package, everywhere.
const PACKAGES: [&str; 5] = ["nginx"; 5];

/// The first with `-e`, so that it needs no file for errors.
const OLDEST: (u32, u32) = (1, 20);

/// Parts that each want a directory for temporary files, whether they are used or not.
const PARTS: [&str; 4] = ["proxy", "fastcgi", "uwsgi", "scgi"];

/// An installed nginx.
#[derive(Clone, Debug)]
pub struct Nginx {
    /// The program.
    pub program: PathBuf,
    /// `1.22.1`.
    pub version: String,
    /// What it was built with (`configure`).
    arguments: Vec<String>,
}

impl Nginx {
    /// Finds `wanted`, or else what `$OXWSGI_NGINX` names, or nginx on PATH and in the system's directories.
    ///
    /// # Errors
    /// There is none, or it is too old.
    pub fn find(wanted: Option<&Path>) -> Result<Self, Problem> {
        let named = env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(program) = wanted.map(Path::to_path_buf).or_else(|| named.clone()) {
            let from = if wanted.is_some() { "--nginx" } else { VARIABLE };
            let found = Self::identify(&program).ok_or_else(|| {
                Problem::new(format!("{} is not an nginx", program.display()))
                    .detail(format!("{from} names it."))
                    .cure("name one that is: --nginx FILE")
            })?;
            return found.new_enough();
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let directories = env::split_paths(&path).chain(SYSTEM_DIRECTORIES.map(PathBuf::from));
        let mut programs = directories.map(|directory| directory.join("nginx"));
        let found = programs.find_map(|program| {
            (program.is_absolute() && program.is_file()).then(|| Self::identify(&program)).flatten()
        });
        let found = found.ok_or_else(|| {
            Problem::new("nginx is not installed: there is none on PATH or in /usr/sbin")
                .cure(format!("install it: {}", install_command(&PACKAGES)))
                .cure(format!("name its program: --nginx FILE, or ${VARIABLE}"))
                .cure("serve with Apache httpd: --server apache")
        })?;
        found.new_enough()
    }

    fn identify(program: &Path) -> Option<Self> {
        let mut command = Command::new(program);
        command.arg("-V").env_remove("NGINX").stdin(Stdio::null()).stdout(Stdio::null());
        let output = command.output().ok()?;
        Self::from_answer(program, &String::from_utf8_lossy(&output.stderr))
    }

    /// From what it says when it is asked with `-V`.
    pub(super) fn from_answer(program: &Path, answer: &str) -> Option<Self> {
        let value = |key: &str| answer.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
        let version = value("nginx version: nginx/")?.split(' ').next()?.to_owned();
        let arguments = value("configure arguments:").unwrap_or_default();
        let arguments = arguments.split_whitespace().map(str::to_owned).collect();
        Some(Self { program: program.to_path_buf(), version, arguments })
    }

    fn new_enough(self) -> Result<Self, Problem> {
        let mut numbers = self.version.split('.').map(|part| part.parse().unwrap_or(0));
        let level = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if level >= OLDEST {
            return Ok(self);
        }
        Err(Problem::new(format!("{} is nginx {}", self.program.display(), self.version))
            .detail(format!("nginx {}.{} and newer can be run.", OLDEST.0, OLDEST.1))
            .cure("name a newer one: --nginx FILE"))
    }

    fn argument(&self, name: &str) -> Option<&str> {
        self.arguments.iter().find_map(|argument| argument.strip_prefix(name)?.strip_prefix('='))
    }

    /// Below its compiled-in prefix unless it is absolute.
    fn path(&self, name: &str, usual: &str) -> PathBuf {
        let prefix = Path::new(self.argument("--prefix").unwrap_or("/usr/local/nginx"));
        prefix.join(self.argument(name).unwrap_or(usual))
    }

    /// The directory of its shared modules.
    pub fn modules(&self) -> PathBuf {
        self.path("--modules-path", "modules")
    }

    /// The file that maps endings to MIME types.
    pub fn mime_types(&self) -> Option<PathBuf> {
        let own = self.path("--conf-path", "conf/nginx.conf").with_file_name("mime.types");
        [own, PathBuf::from("/etc/nginx/mime.types")].into_iter().find(|file| file.is_file())
    }

    /// Names of its parts that want a directory for temporary files, as in `proxy_temp_path`.
    pub fn parts(&self) -> impl Iterator<Item = &'static str> {
        let lacks = |part: &str| {
            let argument = format!("--without-http_{part}_module");
            self.arguments.contains(&argument)
        };
        PARTS.into_iter().filter(move |part| !lacks(part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "nginx version: nginx/1.26.3 (Ubuntu)\nbuilt with OpenSSL 3\n\
        configure arguments: --with-cc-opt='-g -O2' --prefix=/opt/nginx --modules-path=/opt/nginx/lib \
        --without-http_scgi_module\n";

    fn nginx(answer: &str) -> Nginx {
        Nginx::from_answer(Path::new("/usr/sbin/nginx"), answer).expect("an nginx")
    }

    #[test]
    fn an_answer_is_read() {
        let found = nginx(ANSWER);
        assert_eq!(found.version, "1.26.3");
        assert_eq!(found.modules(), Path::new("/opt/nginx/lib"));
        assert_eq!(found.path("--conf-path", "conf/nginx.conf"), Path::new("/opt/nginx/conf/nginx.conf"));
        assert_eq!(found.parts().collect::<Vec<_>>(), ["proxy", "fastcgi", "uwsgi"]);
        let plain = nginx("nginx version: nginx/1.28.0\n");
        assert_eq!(plain.modules(), Path::new("/usr/local/nginx/modules"));
        assert!(Nginx::from_answer(Path::new("/bin/true"), "").is_none());
    }

    #[test]
    fn old_ones_are_refused() {
        assert!(nginx(ANSWER).new_enough().is_ok());
        let problem = nginx("nginx version: nginx/1.18.0\n").new_enough().expect_err("old").to_string();
        assert!(problem.starts_with("/usr/sbin/nginx is nginx 1.18.0"), "{problem}");
    }
}
