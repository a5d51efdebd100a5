//! The application in nginx's configuration: its processes in the `http` block, its locations in the `server` block, and
//! those of the files that nginx serves itself.

#![forbid(unsafe_code)]

use std::fmt::Write as _;

use crate::problem::Problem;
use crate::serve::nginx::log::APPLICATION_LEVEL;
use crate::serve::nginx::quote::{entry, option, plain, quoted};
use crate::serve::quote::word;
use crate::serve::site::{FINISHING, Group, Placement, Purpose, USUAL_BACKLOG};

use super::Configuration;

impl Configuration {
    /// In the `http` block: its processes, and what they import.
    pub(super) fn processes(&self, out: &mut String) -> Result<(), Problem> {
        let site = &self.site;
        let Some(Group { name, processes, directory }) = self.group() else { return Ok(()) };
        out.push_str(
            "### The application: in the http block\n\n\
             # The application's own processes, and how many requests each works on at once. python_home is their Python,\n\
             # a virtual environment or an installation's prefix, whichever others have.\n",
        );
        out.push_str(match directory {
            Some(_) => "# home is their working directory, where imports start.\n",
            None => "# Imports start at python_path.\n",
        });
        if !site.is_run() {
            out.push_str("# Where nginx starts as root, user= and group= give them a user of their own.\n");
        }
        let _ = write!(out, "wsgi_daemon_process {name}");
        if *processes > 1 {
            let _ = write!(out, " processes={processes}");
        }
        let _ = write!(out, " threads={}\n    {}", site.threads, option("python_home", &site.python_home)?);
        if let Some(directory) = directory {
            let _ = write!(out, "\n    {}", option("home", directory)?);
        }
        if let Some(path) = &site.python_path {
            let _ = write!(out, "\n    {}", entry("python_path", path)?);
        }
        if site.is_run() {
            // Whoever has a connection may wait. One second for the rest: a process that is replaced because a file changed
            // has nothing else to do.
            let backlog = USUAL_BACKLOG.max(self.connections());
            let _ =
                write!(out, "\n    listen_backlog={backlog} graceful_timeout={FINISHING} shutdown_timeout=1");
        }
        let _ = writeln!(out, "\n    {};\n", word("display_name=%{GROUP}"));
        let _ = writeln!(
            out,
            "# They import it when they start, not with the first request, in Python's main interpreter, which every\n\
             # extension module supports.\nwsgi_import {} daemon={name};",
            quoted(&site.script)?
        );
        if let Purpose::Run { report } = &site.purpose {
            let _ = writeln!(
                out,
                "\n# Loaded after it: tells the command how the import went.\nwsgi_import {} daemon={name};",
                quoted(report)?
            );
        }
        out.push('\n');
        Ok(())
    }

    /// In a `server` block: the application's locations, and those of static files.
    pub(super) fn locations(&self, out: &mut String) -> Result<(), Problem> {
        let site = &self.site;
        let Some(group) = self.group() else { return Ok(()) };
        out.push_str("### The application: in a server block\n\n");
        let _ = writeln!(
            out,
            "# It runs in the processes that are defined above.\nwsgi_process_group {};\n",
            group.name
        );
        out.push_str(
            "# The application does its own authentication, and decides how large a request may be.\n\
             wsgi_pass_authorization on;\nclient_max_body_size 1g;\n\n",
        );
        out.push_str(match site.purpose {
            Purpose::Run { .. } => {
                "# A changed script counts after a restart only, as the modules it imports do.\nwsgi_script_reloading off;\n"
            }
            Purpose::Show { .. } => {
                "# When the script has changed, or was touched, its processes are replaced: the way to deploy.\n\
                 wsgi_script_reloading on;\n"
            }
        });
        if site.is_run() {
            let _ = writeln!(
                out,
                "\n# By its level the command knows what the application says.\nwsgi_error_log_level {APPLICATION_LEVEL};"
            );
        }
        out.push('\n');
        let script = plain(&site.script)?;
        // Without one, what follows a colon in the script's own name would be taken for it.
        let is_named = site.callable != "application" || script.contains(':');
        let callable = if is_named { format!(":{}", site.callable) } else { String::new() };
        let pass = format!("{{\n    wsgi_pass {};\n}}\n", word(&format!("{script}{callable}")));
        let mount = site.mount.as_str();
        if mount == "/" {
            let _ = writeln!(
                out,
                "# The script, and its callable if that has another name than usual.\nlocation / {pass}"
            );
        } else {
            let _ = writeln!(
                out,
                "# What is below the path, and the path itself, but not {mount}x.\nlocation = {} {pass}location {} {pass}",
                word(mount),
                word(&format!("{mount}/"))
            );
        }
        self.static_files(out)
    }

    fn static_files(&self, out: &mut String) -> Result<(), Problem> {
        if self.site.statics.is_empty() {
            return Ok(());
        }
        out.push_str("# Files that nginx serves itself; a URL here comes before the application's.\n");
        for (url, path) in &self.site.statics {
            if path.is_file() {
                let _ = writeln!(out, "location = {} {{\n    alias {};\n}}", word(url), quoted(path)?);
                continue;
            }
            let (slash, directory) = (format!("{url}/"), format!("{}/", plain(path)?));
            let _ = writeln!(
                out,
                "location {} {{\n    alias {};\n    log_not_found off;\n}}\n\
                 location = {} {{\n    absolute_redirect off;\n    return 301 $uri/$is_args$args;\n}}",
                word(&slash),
                word(&directory),
                word(url)
            );
        }
        out.push('\n');
        Ok(())
    }

    /// nginx's own processes run no Python, so there always is one.
    fn group(&self) -> Option<&Group> {
        match &self.site.placement {
            Placement::Daemon(group) => Some(group),
            Placement::Embedded => None,
        }
    }
}
