//! Writes the httpd configuration: the one that is run, and the one that `--show-config` prints.
//!
//! Both come from here, line by line with the reason for each, so that what a person moves to their own server is what
//! was tried. Takes everything as given; looks at nothing.

#![forbid(unsafe_code)]

mod placement;
mod quote;

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::problem::Problem;
use crate::serve::httpd::log::{ACCESS_FORMAT, ERROR_FORMAT};
use crate::serve::httpd::program::Mpm;
use crate::serve::site::{MIME_TYPES, Purpose, Site};

use self::quote::{access_to_file, plain, quoted, section};

/// Everything the configuration says.
#[derive(Debug)]
pub struct Configuration {
    /// The application, and where it is reached.
    pub site: Site,
    /// httpd's modules to load, by name without `_module`, and where they are.
    pub modules: Vec<(String, PathBuf)>,
    /// The processing model.
    pub mpm: Mpm,
    /// The file that maps endings to MIME types, when static files are served and there is one.
    pub mime_types: Option<PathBuf>,
}

impl Configuration {
    /// The text of the file.
    ///
    /// # Errors
    /// A path cannot be written in an httpd configuration.
    pub fn text(&self) -> Result<String, Problem> {
        let mut out = String::new();
        self.head(&mut out);
        self.server(&mut out)?;
        self.application(&mut out)?;
        self.static_files(&mut out)?;
        Ok(out)
    }

    fn head(&self, out: &mut String) {
        let Purpose::Show { notes } = &self.site.purpose else { return };
        out.push_str(
            "# Apache httpd configuration of `oxwsgi serve`.\n\
             #\n\
             # Part 1 starts a server; an installed httpd has its own lines for all of it. To move the application there,\n\
             # copy part 2 into its configuration, inside a <VirtualHost> where it says so.\n",
        );
        for note in notes {
            let _ = writeln!(out, "{}", format!("# {note}").trim_end());
        }
        out.push('\n');
    }

    fn server(&self, out: &mut String) -> Result<(), Problem> {
        let runtime = quoted(&self.site.runtime)?;
        out.push_str("### Part 1: the server\n\n");
        let _ = writeln!(
            out,
            "# Files httpd keeps while it runs.\nServerRoot {runtime}\nDefaultRuntimeDir {runtime}"
        );
        let _ = writeln!(out, "PidFile {}", quoted(&self.site.runtime.join("oxwsgi-httpd.pid"))?);
        let _ = writeln!(
            out,
            "Mutex {} default\n",
            quoted(&PathBuf::from(format!("file:{}", plain(&self.site.runtime)?)))?
        );
        for (name, file) in &self.modules {
            let _ = writeln!(out, "LoadModule {name}_module {}", quoted(file)?);
        }
        out.push('\n');
        for address in &self.site.listen {
            let _ = writeln!(out, "Listen {address}");
        }
        if let Some(address) = self.site.listen.first() {
            let _ = writeln!(out, "ServerName {address}");
        }
        if let Some((user, group)) = &self.site.account {
            let _ = writeln!(
                out,
                "\n# Who runs the application when httpd starts as root.\nUser {user}\nGroup {group}"
            );
        }
        out.push('\n');
        self.server_processes(out);
        self.logs(out);
        let _ = writeln!(out, "# Nothing is served but what part 2 names.");
        if self.site.is_run() {
            let empty = self.site.runtime.join("htdocs");
            let _ = writeln!(out, "DocumentRoot {}", quoted(&empty)?);
        }
        out.push_str("<Directory \"/\">\n    AllowOverride None\n    Require all denied\n</Directory>\n");
        if self.site.is_run() {
            // Empty: what is not there is "not found", and not "forbidden".
            let [open, close] = section("Directory", &self.site.runtime.join("htdocs"))?;
            let _ = writeln!(out, "{open}\n    Require all granted\n{close}");
        }
        out.push('\n');
        Ok(())
    }

    fn logs(&self, out: &mut String) {
        match self.site.purpose {
            Purpose::Run { .. } => {
                let _ = writeln!(
                    out,
                    "# The command reads both and writes them to the terminal.\n\
                     ErrorLog /dev/stderr\nErrorLogFormat \"{ERROR_FORMAT}\"\nLogLevel notice\n\
                     LogFormat \"{ACCESS_FORMAT}\" oxwsgi\nCustomLog /dev/stdout oxwsgi\n"
                );
            }
            Purpose::Show { .. } => out.push_str(
                "ErrorLog /dev/stderr\nLogLevel warn\n\
                 LogFormat \"%h %l %u %t \\\"%r\\\" %>s %b \\\"%{Referer}i\\\" \\\"%{User-Agent}i\\\"\" combined\n\
                 CustomLog /dev/stdout combined\n\n",
            ),
        }
    }

    fn application(&self, out: &mut String) -> Result<(), Problem> {
        out.push_str("### Part 2: the application\n\n");
        let _ = writeln!(out, "# For the whole server: these lines stand outside any <VirtualHost>.");
        let _ = writeln!(out, "LoadModule wsgi_module {}", quoted(&self.site.module)?);
        self.server_python(out)?;
        out.push_str("\n# For one site: these lines stand inside its <VirtualHost>, if it has one.\n");
        self.mapping(out)?;
        out.push_str(
            "\n# The application does its own authentication and may be sent chunked requests.\n\
             WSGIPassAuthorization On\nWSGIChunkedRequest On\n",
        );
        self.reloading(out);
        out.push_str("\n# httpd serves a file only where access is granted.\n");
        access_to_file(out, &self.site.script)?;
        out.push('\n');
        Ok(())
    }

    fn static_files(&self, out: &mut String) -> Result<(), Problem> {
        if self.site.statics.is_empty() {
            return Ok(());
        }
        out.push_str("# Files that httpd serves itself; a URL here comes before the application's.\n");
        match &self.mime_types {
            Some(file) => {
                let _ = writeln!(out, "TypesConfig {}", quoted(file)?);
            }
            None => {
                out.push_str("TypesConfig /dev/null\n");
                for (kind, endings) in MIME_TYPES {
                    let _ = writeln!(out, "AddType {kind} .{}", endings.replace(' ', " ."));
                }
            }
        }
        for (url, path) in &self.site.statics {
            let _ = writeln!(out, "Alias \"{url}\" {}", quoted(path)?);
            if path.is_file() {
                access_to_file(out, path)?;
            } else {
                let [open, close] = section("Directory", path)?;
                let _ =
                    writeln!(out, "{open}\n    DirectoryIndex index.html\n    Require all granted\n{close}");
            }
        }
        out.push('\n');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::site::Placement;

    fn sample(purpose: Purpose) -> Configuration {
        Configuration {
            site: Site::sample(purpose, "/m/mod_oxwsgi.so"),
            modules: vec![("mpm_event".to_owned(), PathBuf::from("/m/mod_mpm_event.so"))],
            mpm: Mpm::Event,
            mime_types: Some(PathBuf::from("/etc/mime.types")),
        }
    }

    fn directives(configuration: &Configuration) -> Vec<String> {
        let text = configuration.text().expect("a configuration");
        let text = text.replace(" \\\n   ", "");
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(str::to_owned).collect()
    }

    fn embedded(purpose: Purpose) -> Configuration {
        let mut configuration = sample(purpose);
        configuration.site.python_path = Some(PathBuf::from("/srv/shop"));
        configuration.site.placement = Placement::Embedded;
        configuration
    }

    #[test]
    fn the_whole_of_a_run() {
        let run = sample(Purpose::Run { report: PathBuf::from("/tmp/run/report.py") });
        let expected = format!(
            r#"ServerRoot "/tmp/run"
DefaultRuntimeDir "/tmp/run"
PidFile "/tmp/run/oxwsgi-httpd.pid"
Mutex "file:/tmp/run" default
LoadModule mpm_event_module "/m/mod_mpm_event.so"
Listen 127.0.0.1:8000
ServerName 127.0.0.1:8000
User www-data
Group www-data
StartServers 1
ServerLimit 16
ThreadLimit 72
ThreadsPerChild 72
MaxRequestWorkers 72
MinSpareThreads 1
MaxSpareThreads 72
ErrorLog /dev/stderr
ErrorLogFormat "{ERROR_FORMAT}"
LogLevel notice
LogFormat "{ACCESS_FORMAT}" oxwsgi
CustomLog /dev/stdout oxwsgi
DocumentRoot "/tmp/run/htdocs"
<Directory "/">
AllowOverride None
Require all denied
</Directory>
<Directory "/tmp/run/htdocs">
Require all granted
</Directory>
LoadModule wsgi_module "/m/mod_oxwsgi.so"
WSGIRestrictEmbedded On
WSGIDaemonProcess shop processes=2 threads=4 python-home="/srv/venv" home="/srv/shop" listen-backlog=100 graceful-timeout=5 shutdown-timeout=1 display-name=%{{GROUP}}
WSGIScriptAlias "/" "/srv/shop/app.py" process-group=shop application-group=%{{GLOBAL}} callable-object=app
WSGIImportScript "/tmp/run/report.py" process-group=shop application-group=%{{GLOBAL}}
WSGIPassAuthorization On
WSGIChunkedRequest On
WSGIScriptReloading Off
<Directory "/srv/shop">
<Files "app.py">
Require all granted
</Files>
</Directory>
TypesConfig "/etc/mime.types"
Alias "/static" "/srv/shop/a[1]"
<DirectoryMatch "^/srv/shop/a\\[1\\](?:/|$)">
DirectoryIndex index.html
Require all granted
</DirectoryMatch>"#
        );
        assert_eq!(directives(&run), expected.lines().map(str::to_owned).collect::<Vec<_>>());
    }

    #[test]
    fn inside_httpd_its_threads_are_the_applications() {
        let lines = directives(&embedded(Purpose::Run { report: PathBuf::from("/tmp/run/report.py") }));
        let expected = r#"WSGIPythonHome "/srv/venv"
WSGIPythonPath "/srv/shop"
WSGIScriptAlias "/" "/srv/shop/app.py"
WSGICallableObject app
WSGIApplicationGroup %{GLOBAL}
WSGIImportScript "/srv/shop/app.py" process-group=%{GLOBAL} application-group=%{GLOBAL}
WSGIImportScript "/tmp/run/report.py" process-group=%{GLOBAL} application-group=%{GLOBAL}"#;
        let first = lines.iter().position(|line| line.starts_with("WSGI")).expect("the application");
        assert_eq!(lines[first..first + 7], expected.lines().collect::<Vec<_>>());
        assert!(lines.contains(&"ThreadsPerChild 4".to_owned()), "{lines:?}");
    }

    #[test]
    fn what_is_shown_has_nothing_of_this_run() {
        let notes = vec!["Save the script.".to_owned()];
        for of in [sample as fn(Purpose) -> Configuration, embedded] {
            let shown = of(Purpose::Show { notes: notes.clone() });
            let text = shown.text().expect("a configuration");
            assert!(text.contains("# Save the script.\n"), "{text}");
            assert!(!text.contains("oxwsgi-error"), "{text}");
            assert!(!text.contains("report"), "{text}");
            assert!(!text.contains("timeout="), "{text}");
        }
    }

    #[test]
    fn many_threads_are_several_servers() {
        let mut large = sample(Purpose::Show { notes: Vec::new() });
        large.site.threads = 300;
        let lines = directives(&large);
        for line in ["StartServers 6", "ThreadsPerChild 111", "MaxRequestWorkers 666"] {
            assert!(lines.contains(&line.to_owned()), "{lines:?}");
        }
    }

    #[test]
    fn prefork_counts_processes() {
        let mut run = embedded(Purpose::Show { notes: Vec::new() });
        run.mpm = Mpm::Prefork;
        let lines = directives(&run);
        assert!(lines.contains(&"MaxRequestWorkers 4".to_owned()), "{lines:?}");
        assert!(!lines.iter().any(|line| line.starts_with("ThreadsPerChild")), "{lines:?}");
        run.site.placement = sample(run.site.purpose.clone()).site.placement;
        assert!(directives(&run).contains(&"MaxRequestWorkers 72".to_owned()));
    }
}
