//! `oxwsgi serve`: an application behind a private server, from one command.
//!
//! In the order of a run: [`target`] and [`project`] find what to serve; [`library`] and [`python`] find what
//! it takes; [`account`] and [`access`] make sure that the user who runs it can read it; [`address`] that it can listen.
//! All of it makes a [`site`]. [`httpd`] and [`nginx`] know what only one server has: where it is installed, how it is
//! configured, in [`quote`]s and a [`private`] directory, and what its logs look like; [`installed`] is the one that was
//! asked for.
//! [`server`] is its process, and [`descendants`] are those below it;
//! [`session`] follows it to its end with what [`events`], [`report`], [`reload`], [`workers`] and [`log_view`] tell.
//!
//! Root never executes anything a site owns: not here, and not in the server.

mod access;
mod account;
mod address;
mod before_exec;
mod descendants;
mod events;
mod httpd;
mod installed;
mod library;
mod log_view;
mod nginx;
mod packages;
mod private;
mod project;
mod python;
mod quote;
mod reload;
mod report;
mod server;
mod session;
mod site;
mod target;
mod terminal;
mod workers;

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::cli::{ServeOptions, StaticRoute};
use crate::problem::Problem;
use crate::serve::access::{Mode, Need};
use crate::serve::account::Account;
use crate::serve::address::Listen;
use crate::serve::events::{Event, Events};
use crate::serve::installed::Installed;
use crate::serve::library::Library;
use crate::serve::log_view::Capacity;
use crate::serve::private::Private;
use crate::serve::python::Python;
use crate::serve::reload::Watcher;
use crate::serve::report::Shown;
use crate::serve::server::Server;
use crate::serve::session::Session;
use crate::serve::site::{Group, Placement, Purpose, Site};
use crate::serve::target::{Source, Target};

/// Runs the application until it is stopped, or prints its configuration.
///
/// # Errors
/// Something is missing, closed, busy or broken; each says what to do.
pub fn run(options: &ServeOptions) -> Result<(), Problem> {
    let found = Found::look(options)?;
    if options.show_config { found.show(options) } else { found.serve(options) }
}

/// Everything a run needs, found and checked.
struct Found {
    target: Target,
    statics: Vec<(String, PathBuf)>,
    installed: Installed,
    library: Library,
    account: Option<Account>,
    python: Python,
}

impl Found {
    fn look(options: &ServeOptions) -> Result<Self, Problem> {
        let target = Target::find(&options.target)?;
        let statics = statics(options)?;
        let installed = Installed::find(options)?;
        let modules = installed.modules();
        let library = Library::find(installed.module_file(), options.module.as_deref(), &modules)?;
        let account = Account::serving(options.user.as_deref())?;

        let active = env::var_os("VIRTUAL_ENV").filter(|value| !value.is_empty()).map(PathBuf::from);
        let path = env::var_os("PATH").unwrap_or_default();
        let program = python::locate(options.python.as_deref(), active.as_deref(), &path)?;
        let mut needs = vec![python::program_need(&program)];
        needs.extend(needs_of(&target));
        access::check(account.as_ref(), &needs)?;
        let script = match &target.source {
            Source::Script { path, .. } => Some(path.as_path()),
            Source::Import(_) => None,
        };
        let python = Python::ask(&program, account.as_ref(), script)?;
        python.check_home()?;
        let mut needs = python.needs();
        needs.extend(library.needs());
        needs.extend(statics.iter().map(|(_, path)| Need {
            what: "served by --static",
            path: path.clone(),
            mode: if path.is_dir() { Mode::List } else { Mode::Read },
        }));
        access::check(account.as_ref(), &needs)?;
        if !options.embedded {
            library.check_supervisor()?;
        }
        Ok(Self { target, statics, installed, library, account, python })
    }

    /// The name of the callable in the script that is loaded.
    fn callable(&self) -> String {
        match &self.target.source {
            Source::Script { callable: Some(name), .. } => name.clone(),
            Source::Script { callable: None, .. } => self.python.usual_callable().to_owned(),
            Source::Import(_) => "application".to_owned(),
        }
    }

    fn configuration(
        &self,
        options: &ServeOptions,
        purpose: Purpose,
        listen: &Listen,
        script: PathBuf,
        runtime: PathBuf,
    ) -> Result<String, Problem> {
        let placement = self.placement(options, &purpose);
        let starts_there = matches!(&placement, Placement::Daemon(group) if group.directory.is_some());
        let python_path = match &self.target.source {
            Source::Script { .. } if !starts_there => Some(self.target.project.clone()),
            Source::Script { .. } | Source::Import(_) => None,
        };
        let site = Site {
            purpose,
            account: self.account.as_ref().map(|account| (account.name.clone(), account.group.clone())),
            listen: listen.addresses().to_vec(),
            runtime,
            module: self.library.module.clone(),
            python_home: self.python.home.clone(),
            placement,
            threads: options.threads,
            script,
            callable: self.callable(),
            python_path,
            mount: options.mount.clone(),
            statics: self.statics.clone(),
        };
        self.installed.configuration(site)
    }

    fn placement(&self, options: &ServeOptions, purpose: &Purpose) -> Placement {
        if options.embedded {
            return Placement::Embedded;
        }
        let project = &self.target.project;
        let text = match &self.target.source {
            Source::Import(import) => import.module.split('.').next().unwrap_or_default(),
            Source::Script { .. } => project.file_name().and_then(OsStr::to_str).unwrap_or_default(),
        };
        // Here the application is where the command was started, and finds the files that its options name; another
        // server is started anywhere.
        let is_here = || env::current_dir().and_then(fs::canonicalize).is_ok_and(|here| here == *project);
        let directory = match purpose {
            Purpose::Show { .. } => Some(project.clone()),
            Purpose::Run { .. } => is_here().then(|| project.clone()),
        };
        Placement::Daemon(Group { name: Group::name_of(text), processes: options.processes, directory })
    }

    /// Prints a configuration that does without this command.
    fn show(&self, options: &ServeOptions) -> Result<(), Problem> {
        let listen = match options.port {
            0 => Listen::reserve(&options.host, 0)?,
            port => Listen::unchecked(&options.host, port)?,
        };
        let mut notes = Vec::new();
        let script = match &self.target.source {
            Source::Script { path, .. } => path.clone(),
            Source::Import(import) => {
                let path = self.target.project.join(format!("{}.wsgi", import.module));
                notes.push(String::new());
                notes.push(format!("Save this script as {}:", path.display()));
                notes.push(String::new());
                let text = import.script(text_of(&self.target.project)?);
                notes.extend(text.lines().map(|line| format!("    {line}")));
                path
            }
        };
        let text =
            self.configuration(options, Purpose::Show { notes }, &listen, script, own_runtime_directory())?;
        let mut terminal = terminal::Terminal::default();
        terminal.out(text.trim_end());
        Ok(())
    }

    fn serve(&self, options: &ServeOptions) -> Result<(), Problem> {
        let listen = Listen::reserve(&options.host, options.port)?;
        let events = Events::open()?;
        let private = Private::create()?;
        if !options.embedded {
            private.check_sockets(self.installed.longest_socket(), self.installed.module_file().can_embed)?;
        }
        let callable = self.callable();
        let script = match &self.target.source {
            Source::Script { path, .. } => path.clone(),
            Source::Import(import) => {
                private.write("application.wsgi", &import.script(text_of(&self.target.project)?))?
            }
        };
        let report =
            private.write("report.py", &report::script(text_of(&script)?, &callable, &self.target))?;
        let reach = Need { what: "written by this command", path: report.clone(), mode: Mode::Read };
        access::check(self.account.as_ref(), &[reach])?;
        let purpose = Purpose::Run { report };
        let configuration =
            self.configuration(options, purpose, &listen, script.clone(), private.path().to_path_buf())?;
        let file = private.write(self.installed.file_name(), &configuration)?;

        let own_script = matches!(self.target.source, Source::Script { .. }).then_some(script.as_path());
        let watcher = match options.reload {
            true => Some(Watcher::start(&self.target.project, own_script, events.change_teller())?),
            false => None,
        };
        let (server, out, err) =
            Server::start(self.installed.command(private.path(), &file), self.account.as_ref())?;
        events.read(out, Event::Out);
        events.read(err, Event::Err);
        events.await_answer(self.installed.ready(listen.reachable(), private.path()));
        let shown = Shown {
            text: &options.target,
            target: &self.target,
            callable: &callable,
            python: &self.python,
            module: &self.library.module,
        };
        let welcome = self.welcome(options, &listen);
        Session::new(server, &self.installed, &events, shown, welcome, capacity(options), watcher).run()
    }

    fn welcome(&self, options: &ServeOptions, listen: &Listen) -> Vec<(String, String)> {
        let server = self.installed.version();
        let capacity = capacity(options);
        let user = self.account.as_ref().map(|account| format!(", as {}", account.name)).unwrap_or_default();
        let python = self.python.home.display();
        let mut lines = vec![(
            concat!("oxwsgi ", env!("CARGO_PKG_VERSION")).to_owned(),
            format!(" on {server}, Python {} from {python}, {capacity}{user}", self.python.version),
        )];
        for (url, path) in &self.statics {
            lines.push((url.clone(), format!(" is served from {}", path.display())));
        }
        let reload = if options.reload { " It starts anew when a Python file changes." } else { "" };
        lines.push((
            listen.url(&options.mount),
            format!(" serves {}. Ctrl-C stops it.{reload}", options.target),
        ));
        lines
    }
}

fn capacity(options: &ServeOptions) -> Capacity {
    Capacity { processes: options.processes, threads: options.threads, is_embedded: options.embedded }
}

/// What the application's user must read of the application itself.
fn needs_of(target: &Target) -> Vec<Need> {
    let project = Need {
        what: "where the application's imports start",
        path: target.project.clone(),
        mode: Mode::List,
    };
    match &target.source {
        Source::Script { path, .. } => {
            vec![Need { what: "the application", path: path.clone(), mode: Mode::Read }, project]
        }
        Source::Import(_) => vec![project],
    }
}

/// The static routes with absolute paths, the most particular first: httpd takes the first that fits.
fn statics(options: &ServeOptions) -> Result<Vec<(String, PathBuf)>, Problem> {
    let mut routes = Vec::new();
    for StaticRoute { url, path } in &options.statics {
        let shown = path.display();
        if *url == options.mount || url == "/" {
            return Err(Problem::new(format!(
                "--static {url}={shown} would hide the application at {}",
                options.mount
            ))
            .cure(format!("put the files at a path of their own: --static /static={shown}"))
            .cure("put the application at another path: --mount /app"));
        }
        if routes.iter().any(|(known, _)| known == url) {
            return Err(
                Problem::new(format!("--static {url} is given twice")).cure("give each URL path once")
            );
        }
        let real = fs::canonicalize(path).map_err(|error| {
            let problem = Problem::new(format!("The files of --static {url}={shown} are not there: {error}"));
            let problem = match std::path::absolute(path) {
                Ok(absolute) if path.is_relative() => {
                    problem.detail(format!("Looked for {}.", absolute.display()))
                }
                _ => problem,
            };
            problem.cure("name a directory or file that exists: --static URL=DIR")
        })?;
        routes.push((url.clone(), real));
    }
    routes.sort_by_key(|(url, _)| std::cmp::Reverse(url.len()));
    Ok(routes)
}

/// Where a server that somebody else starts may keep its files: not where others could put links in its way.
fn own_runtime_directory() -> PathBuf {
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/run");
    }
    let own = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_dir());
    own.unwrap_or_else(env::temp_dir)
}

fn text_of(path: &Path) -> Result<&str, Problem> {
    path.to_str().ok_or_else(|| {
        Problem::new(format!("{} cannot be used: its name is not UTF-8", path.display())).cure("rename it")
    })
}
