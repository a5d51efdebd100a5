//! Where the application runs, in daemon processes or inside httpd's own, and everything in the configuration that
//! depends on it: how many processes and threads httpd needs, how the application's Python starts, who runs the script.

#![forbid(unsafe_code)]

use std::fmt::Write as _;

use super::Configuration;
use super::quote::{quoted, quoted_entry};
use crate::problem::Problem;
use crate::serve::httpd::program::Mpm;
use crate::serve::site::{FINISHING, Group, Placement, Purpose, USUAL_BACKLOG, WAITING};

/// How many server processes may exist beside the current ones: those of earlier restarts that still finish requests.
const GENERATIONS: u32 = 16;

/// More threads go to another server process: each may hold two descriptors, and a usual limit is 1024.
const THREADS_OF_A_SERVER: u32 = 128;

impl Configuration {
    /// httpd's own processes.
    pub(super) fn server_processes(&self, out: &mut String) {
        let (capacity, connections) = (self.site.capacity(), self.site.connections());
        match self.site.placement {
            Placement::Daemon(_) => {
                let _ = writeln!(
                    out,
                    "# httpd's own processes hold the connections: {capacity} whose requests the application works on,\n\
                     # and {WAITING} that wait for it or get a file."
                );
            }
            Placement::Embedded => {
                let _ = writeln!(out, "# One process works on {capacity} requests at once.");
            }
        }
        if self.mpm == Mpm::Prefork {
            let spare = if self.site.placement == Placement::Embedded { connections } else { WAITING };
            let _ = writeln!(
                out,
                "StartServers 1\nMinSpareServers 1\nMaxSpareServers {spare}\nServerLimit {connections}\n\
                 MaxRequestWorkers {connections}\n"
            );
            return;
        }
        let servers = match self.site.placement {
            Placement::Daemon(_) => connections.div_ceil(THREADS_OF_A_SERVER),
            // One copy of the application.
            Placement::Embedded => 1,
        };
        let threads = connections.div_ceil(servers);
        let limit = GENERATIONS.max(servers * 2);
        let _ = writeln!(
            out,
            "StartServers {servers}\nServerLimit {limit}\nThreadLimit {threads}\nThreadsPerChild {threads}\n\
             MaxRequestWorkers {}\nMinSpareThreads 1\nMaxSpareThreads {0}\n",
            servers * threads
        );
    }

    /// What the whole server has to know of the application's Python.
    pub(super) fn server_python(&self, out: &mut String) -> Result<(), Problem> {
        if let Placement::Daemon(_) = self.site.placement {
            out.push_str(
                "\n# No Python inside httpd's own processes. Leave it out where other applications run there.\n\
                 WSGIRestrictEmbedded On\n",
            );
            return Ok(());
        }
        let _ = writeln!(out, "\n# The Python to run: a virtual environment or an installation's prefix.");
        let _ = writeln!(out, "WSGIPythonHome {}", quoted(&self.site.python_home)?);
        if let Some(path) = &self.site.python_path {
            let _ = writeln!(
                out,
                "\n# Where the application's imports start.\nWSGIPythonPath {}",
                quoted_entry(path)?
            );
        }
        Ok(())
    }

    /// The script's URL path, and who runs it.
    pub(super) fn mapping(&self, out: &mut String) -> Result<(), Problem> {
        let groups = match &self.site.placement {
            Placement::Daemon(group) => {
                self.daemon(out, group)?;
                format!("process-group={} application-group=%{{GLOBAL}}", group.name)
            }
            Placement::Embedded => {
                self.embedded(out)?;
                "process-group=%{GLOBAL} application-group=%{GLOBAL}".to_owned()
            }
        };
        if let Purpose::Run { report } = &self.site.purpose {
            let _ = writeln!(out, "\n# Loaded after it: tells the command how the import went.");
            let _ = writeln!(out, "WSGIImportScript {} {groups}", quoted(report)?);
        }
        Ok(())
    }

    fn daemon(&self, out: &mut String, group: &Group) -> Result<(), Problem> {
        let Group { name, processes, directory } = group;
        out.push_str(
            "\n# The application's own processes, and how many requests each works on at once. python-home is their\n\
             # Python, a virtual environment or an installation's prefix, whichever others have.\n",
        );
        out.push_str(match directory {
            Some(_) => "# home is their working directory, where imports start.\n",
            None => "# Imports start at python-path.\n",
        });
        if matches!(self.site.purpose, Purpose::Show { .. }) {
            out.push_str("# Where httpd starts as root, user= and group= give them a user of their own.\n");
        }
        let _ = write!(out, "WSGIDaemonProcess {name}");
        if *processes > 1 {
            let _ = write!(out, " processes={processes}");
        }
        let _ = write!(
            out,
            " threads={} \\\n    python-home={}",
            self.site.threads,
            quoted(&self.site.python_home)?
        );
        if let Some(directory) = directory {
            let _ = write!(out, " \\\n    home={}", quoted(directory)?);
        }
        if let Some(path) = &self.site.python_path {
            let _ = write!(out, " \\\n    python-path={}", quoted_entry(path)?);
        }
        if let Purpose::Run { .. } = self.site.purpose {
            // One second for the rest: a process that is replaced because a file changed has nothing else to do.
            let backlog = USUAL_BACKLOG.max(self.site.connections());
            let _ = write!(
                out,
                " \\\n    listen-backlog={backlog} graceful-timeout={FINISHING} shutdown-timeout=1"
            );
        }
        out.push_str(" \\\n    display-name=%{GROUP}\n");
        let _ = writeln!(
            out,
            "\n# They run the script in Python's main interpreter, which every extension module supports. Because it\n\
             # names both groups, it is imported when a process starts, not with the first request."
        );
        let (mount, script) = (&self.site.mount, quoted(&self.site.script)?);
        let _ = write!(
            out,
            "WSGIScriptAlias \"{mount}\" {script} \\\n    process-group={name} application-group=%{{GLOBAL}}"
        );
        if self.site.callable != "application" {
            let _ = write!(out, " callable-object={}", self.site.callable);
        }
        out.push('\n');
        Ok(())
    }

    fn embedded(&self, out: &mut String) -> Result<(), Problem> {
        let (mount, script) = (&self.site.mount, quoted(&self.site.script)?);
        let _ = writeln!(out, "WSGIScriptAlias \"{mount}\" {script}");
        if self.site.callable != "application" {
            let _ = writeln!(out, "WSGICallableObject {}", self.site.callable);
        }
        out.push_str(
            "\n# It runs in httpd's own processes, in Python's main interpreter, which every extension module supports,\n\
             # and is imported when a process starts, not with the first request.\n\
             WSGIApplicationGroup %{GLOBAL}\n",
        );
        let _ = writeln!(
            out,
            "WSGIImportScript {script} process-group=%{{GLOBAL}} application-group=%{{GLOBAL}}"
        );
        Ok(())
    }

    /// What a change of the script does.
    pub(super) fn reloading(&self, out: &mut String) {
        out.push_str(match (&self.site.placement, &self.site.purpose) {
            (Placement::Daemon(_), Purpose::Show { .. }) => {
                "\n# When the script has changed, or was touched, its processes are replaced: the way to deploy.\n\
                 WSGIScriptReloading On\n"
            }
            _ => {
                "\n# A changed script counts after a restart only, as the modules it imports do.\nWSGIScriptReloading Off\n"
            }
        });
    }
}
