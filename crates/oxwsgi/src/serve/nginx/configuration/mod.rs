//! Writes the nginx configuration: the one that is run, and the one that `--show-config` prints.
//!
//! Both come from here, line by line with the reason for each, so that what a person moves to their own server is what
//! was tried. This is the server; [`application`] is what stands in its blocks. Looks at nothing.

#![forbid(unsafe_code)]

mod application;

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::problem::Problem;
use crate::serve::quote::word;
use crate::serve::site::{FINISHING, MIME_TYPES, Purpose, Site};

use super::log::ACCESS_FORMAT;
use super::program::Nginx;
use super::quote::{plain, quoted};
use super::ready_socket;

/// Connections of nginx's process when no more are needed: its own default.
const USUAL_CONNECTIONS: u32 = 512;

/// Descriptors besides those of connections: logs, listeners, files.
const OTHER_DESCRIPTORS: u32 = 64;

/// Everything the configuration says.
#[derive(Debug)]
pub struct Configuration {
    /// The application, and where it is reached; in processes of its own.
    pub site: Site,
    /// Names of nginx's parts that want a directory for temporary files.
    pub parts: Vec<&'static str>,
    /// The file that maps endings to MIME types, when static files are served and there is one.
    pub mime_types: Option<PathBuf>,
}

impl Configuration {
    /// What `nginx` needs besides `site`.
    pub fn new(nginx: &Nginx, site: Site) -> Self {
        let mime_types = nginx.mime_types().filter(|_| !site.statics.is_empty());
        Self { site, parts: nginx.parts().collect(), mime_types }
    }

    /// The text of the file.
    ///
    /// # Errors
    /// A path cannot be written in an nginx configuration.
    pub fn text(&self) -> Result<String, Problem> {
        let mut out = String::new();
        self.head(&mut out);
        let _ = writeln!(
            out,
            "### The application: at the top of nginx.conf\n\n\
             # It fits the version of nginx that it was built for.\nload_module {};\n",
            quoted(&self.site.module)?
        );
        self.server_processes(&mut out)?;
        out.push_str("http {\n");
        let mut inside = String::new();
        self.server(&mut inside)?;
        self.processes(&mut inside)?;
        self.ready(&mut inside)?;
        inside.push_str("server {\n");
        let mut block = String::new();
        self.listening(&mut block);
        self.locations(&mut block)?;
        indent(&mut inside, &block);
        inside.push_str("}\n");
        indent(&mut out, &inside);
        out.push_str("}\n");
        Ok(out)
    }

    fn head(&self, out: &mut String) {
        let Purpose::Show { notes } = &self.site.purpose else { return };
        out.push_str(
            "# nginx configuration of `oxwsgi serve`.\n\
             #\n\
             # What is headed \"the server\" starts one; an installed nginx has its own lines for all of it. To move the\n\
             # application there, copy what is headed \"the application\": it says where to.\n",
        );
        for note in notes {
            let _ = writeln!(out, "{}", format!("# {note}").trim_end());
        }
        out.push('\n');
    }

    /// A request takes two connections: one with the client, one with the application.
    fn connections(&self) -> u32 {
        USUAL_CONNECTIONS.max(self.site.connections() * 2)
    }

    fn server_processes(&self, out: &mut String) -> Result<(), Problem> {
        let (site, connections) = (&self.site, self.connections());
        out.push_str("### The server\n\n");
        if site.is_run() {
            let _ = writeln!(
                out,
                "# The command waits for its end, and gives requests {FINISHING} seconds to finish.\n\
                 daemon off;\nworker_shutdown_timeout {FINISHING}s;\n"
            );
        }
        if let Some((user, group)) = &site.account {
            let _ = writeln!(
                out,
                "# Who runs the application when nginx starts as root.\nuser {user} {group};\n"
            );
        }
        let _ = writeln!(out, "# Sockets of the application's processes are beside this file, too.");
        let _ = writeln!(out, "pid {};\n", quoted(&site.runtime.join("oxwsgi-nginx.pid"))?);
        let _ = writeln!(
            out,
            "# One process holds all connections; a request takes two, one of them with the application.\n\
             worker_processes 1;"
        );
        if connections > USUAL_CONNECTIONS {
            let _ = writeln!(out, "worker_rlimit_nofile {};", connections + OTHER_DESCRIPTORS);
        }
        let _ = writeln!(out, "events {{\n    worker_connections {connections};\n}}\n");
        match site.purpose {
            Purpose::Run { .. } => out.push_str(
                "# The command reads it and writes it to the terminal.\nerror_log stderr notice;\n\n",
            ),
            Purpose::Show { .. } => out.push_str("error_log stderr warn;\n\n"),
        }
        Ok(())
    }

    fn server(&self, out: &mut String) -> Result<(), Problem> {
        let site = &self.site;
        out.push_str("### The server\n\n");
        match site.purpose {
            Purpose::Run { .. } => {
                let _ =
                    writeln!(out, "log_format oxwsgi \"{ACCESS_FORMAT}\";\naccess_log /dev/stdout oxwsgi;\n");
            }
            Purpose::Show { .. } => out.push_str("access_log /dev/stdout combined;\n\n"),
        }
        out.push_str("# Where it keeps large requests and replies meanwhile.\n");
        for part in ["client_body", "wsgi"].into_iter().chain(self.parts.iter().copied()) {
            let directory = site.runtime.join(format!("oxwsgi-nginx-{part}"));
            let _ = writeln!(out, "{part}_temp_path {};", quoted(&directory)?);
        }
        out.push('\n');
        if !site.statics.is_empty() {
            out.push_str("# For static files.\nsendfile on;\n");
            match &self.mime_types {
                Some(file) => {
                    let _ = writeln!(out, "include {};\n", quoted(file)?);
                }
                None => {
                    out.push_str("types {\n");
                    for (kind, endings) in MIME_TYPES {
                        let _ = writeln!(out, "    {kind} {endings};");
                    }
                    out.push_str("}\n\n");
                }
            }
        }
        Ok(())
    }

    /// Answers the command as soon as nginx answers anybody; its addresses are there before that.
    fn ready(&self, out: &mut String) -> Result<(), Problem> {
        if self.site.is_run() {
            let socket = format!("unix:{}", plain(&ready_socket(&self.site.runtime))?);
            let _ = writeln!(
                out,
                "# Tells the command that nginx is ready.\nserver {{\n    listen {};\n    access_log off;\n    return 204;\n}}\n",
                word(&socket)
            );
        }
        Ok(())
    }

    fn listening(&self, out: &mut String) {
        out.push_str("### The server\n\n");
        for address in &self.site.listen {
            let _ = writeln!(out, "listen {address};");
        }
        if self.site.mount != "/" {
            out.push_str(
                "\n# Nothing is served but what is named below.\nlocation / {\n    return 404;\n}\n",
            );
        }
        out.push('\n');
    }
}

/// Adds `lines` one level deeper.
fn indent(out: &mut String, lines: &str) {
    for line in lines.trim_end().lines() {
        let _ = writeln!(out, "{}", format!("    {line}").trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(purpose: Purpose) -> Configuration {
        let site = Site::sample(purpose, "/m/ngx_http_oxwsgi_module.so");
        Configuration { site, parts: vec!["proxy"], mime_types: Some(PathBuf::from("/etc/nginx/mime.types")) }
    }

    fn run() -> Configuration {
        sample(Purpose::Run { report: PathBuf::from("/tmp/run/report.py") })
    }

    fn directives(configuration: &Configuration) -> Vec<String> {
        let text = configuration.text().expect("a configuration");
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(str::to_owned).collect()
    }

    #[test]
    fn the_whole_of_a_run() {
        let expected = format!(
            r#"load_module "/m/ngx_http_oxwsgi_module.so";
daemon off;
worker_shutdown_timeout 5s;
user www-data www-data;
pid "/tmp/run/oxwsgi-nginx.pid";
worker_processes 1;
events {{
worker_connections 512;
}}
error_log stderr notice;
http {{
log_format oxwsgi "{ACCESS_FORMAT}";
access_log /dev/stdout oxwsgi;
client_body_temp_path "/tmp/run/oxwsgi-nginx-client_body";
wsgi_temp_path "/tmp/run/oxwsgi-nginx-wsgi";
proxy_temp_path "/tmp/run/oxwsgi-nginx-proxy";
sendfile on;
include "/etc/nginx/mime.types";
wsgi_daemon_process shop processes=2 threads=4
"python_home=/srv/venv"
"home=/srv/shop"
listen_backlog=512 graceful_timeout=5 shutdown_timeout=1
"display_name=%{{GROUP}}";
wsgi_import "/srv/shop/app.py" daemon=shop;
wsgi_import "/tmp/run/report.py" daemon=shop;
server {{
listen "unix:/tmp/run/ready.sock";
access_log off;
return 204;
}}
server {{
listen 127.0.0.1:8000;
wsgi_process_group shop;
wsgi_pass_authorization on;
client_max_body_size 1g;
wsgi_script_reloading off;
wsgi_error_log_level notice;
location / {{
wsgi_pass "/srv/shop/app.py:app";
}}
location "/static/" {{
alias "/srv/shop/a[1]/";
log_not_found off;
}}
location = "/static" {{
absolute_redirect off;
return 301 $uri/$is_args$args;
}}
}}
}}"#
        );
        assert_eq!(directives(&run()), expected.lines().map(str::to_owned).collect::<Vec<_>>());
    }

    #[test]
    fn a_mounted_application_has_its_path_and_what_is_below() {
        let mut mounted = run();
        mounted.site.mount = "/shop".to_owned();
        mounted.site.callable = "application".to_owned();
        mounted.site.script = PathBuf::from("/srv/a:b.wsgi");
        let lines = directives(&mounted);
        for line in ["location / {", "location = \"/shop\" {", "location \"/shop/\" {", "return 404;"] {
            assert!(lines.contains(&line.to_owned()), "{lines:?}");
        }
        assert!(lines.contains(&"wsgi_pass \"/srv/a:b.wsgi:application\";".to_owned()), "{lines:?}");
    }

    #[test]
    fn what_is_shown_has_nothing_of_this_run() {
        let shown = sample(Purpose::Show { notes: vec!["Save the script.".to_owned()] });
        let text = shown.text().expect("a configuration");
        assert!(text.contains("# Save the script.\n"), "{text}");
        for word in ["oxwsgi-access", "report", "timeout=", "daemon off", "ready.sock", "notice"] {
            assert!(!text.contains(word), "{word} in {text}");
        }
    }

    #[test]
    fn many_threads_are_many_connections() {
        let mut large = run();
        large.site.threads = 300;
        let lines = directives(&large);
        for line in ["worker_connections 1328;", "worker_rlimit_nofile 1392;"] {
            assert!(lines.contains(&line.to_owned()), "{lines:?}");
        }
    }
}
