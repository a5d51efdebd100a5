//! The command line: names, defaults and help of every option. Values are checked here as far as they can be without
//! looking at the machine.

#![forbid(unsafe_code)]

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Python WSGI applications inside Apache httpd and nginx.
#[derive(Debug, Parser)]
#[command(name = "oxwsgi", version, styles = STYLES, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run an application behind a private Apache httpd or nginx until Ctrl-C.
    Serve(Box<ServeOptions>),
    /// Start and look after the processes of a server's daemon groups.
    #[command(hide = true)]
    Supervise {
        /// What the server hands over.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        handover: Vec<String>,
    },
    /// Start `supervise`, and again when it dies, for a server that cannot.
    #[command(hide = true)]
    Keep {
        /// What the server hands over.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        handover: Vec<String>,
    },
}

const SERVE_EXAMPLES: &str = "\
Examples:
  oxwsgi serve hello.wsgi
  oxwsgi serve shop:app --python .venv --reload
  oxwsgi serve 'shop:create_app()' --port 8080 --processes 2 --threads 16
  oxwsgi serve mysite/ --static /static=mysite/static
  oxwsgi serve shop:app --server nginx
  oxwsgi serve shop:app --show-config > httpd.conf";

/// The options of `oxwsgi serve`.
#[derive(Args, Clone, Debug)]
#[command(after_help = SERVE_EXAMPLES)]
pub struct ServeOptions {
    /// A script file, `module:callable`, or a directory with one wsgi.py, app.py, *.wsgi or Django manage.py
    ///
    /// A script file's callable may be named as in `app.py:app`; without a name it is `application`, or else `app`.
    /// `module:callable` is imported from the current directory; `module:create_app()` calls a factory.
    pub target: String,

    /// The server in front of the application
    #[arg(long, value_name = "SERVER", default_value = "apache")]
    pub server: ServerKind,

    /// The address to listen on
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    pub host: String,

    /// The port to listen on; 0 chooses a free one
    #[arg(long, short, default_value_t = 8000)]
    pub port: u16,

    /// The URL path the application is mounted at
    #[arg(long, value_name = "PATH", default_value = "/", value_parser = url_path)]
    pub mount: String,

    /// Files that the server serves itself, below a URL path; may be repeated
    #[arg(long = "static", value_name = "URL=DIR", value_parser = static_route)]
    pub statics: Vec<StaticRoute>,

    /// A virtual environment, a Python prefix or a python executable [default: $VIRTUAL_ENV, else python3 on PATH]
    #[arg(long, value_name = "DIR")]
    pub python: Option<PathBuf>,

    /// How many processes run the application
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub processes: u16,

    /// How many requests each process works on at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=512))]
    pub threads: u16,

    /// Run the application inside httpd itself, without processes of its own
    ///
    /// Saves each request the way to another process. Needs a Python with a shared library. Not under nginx, whose own
    /// processes run no Python.
    #[arg(long, conflicts_with = "processes")]
    pub embedded: bool,

    /// Start the application anew when a Python file of the project changes
    #[arg(long)]
    pub reload: bool,

    /// As root: the user that runs the application [default: www-data, apache, nginx, http or nobody, the first there is]
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,

    /// Print the server's configuration instead of running it
    #[arg(long)]
    pub show_config: bool,

    /// The server's module to load instead of the one beside this command
    #[arg(long, value_name = "FILE", hide = true)]
    pub module: Option<PathBuf>,

    /// The httpd program to run instead of the one found on PATH
    #[arg(long, value_name = "FILE", hide = true)]
    pub httpd: Option<PathBuf>,

    /// The nginx program to run instead of the one found on PATH
    #[arg(long, value_name = "FILE", hide = true)]
    pub nginx: Option<PathBuf>,
}

/// The servers that an application can be served with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ServerKind {
    /// Apache httpd 2.4
    #[value(alias = "httpd")]
    Apache,
    /// nginx
    Nginx,
}

/// One `--static URL=DIR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticRoute {
    /// The URL path, with a leading and without a trailing slash.
    pub url: String,
    /// The directory or file as the user wrote it.
    pub path: PathBuf,
}

fn static_route(value: &str) -> Result<StaticRoute, String> {
    let (url, path) =
        value.split_once('=').ok_or("write URL=DIR, for example /static=./static".to_owned())?;
    if path.is_empty() {
        return Err("the directory after = is missing, for example /static=./static".to_owned());
    }
    Ok(StaticRoute { url: url_path(url)?, path: PathBuf::from(path) })
}

/// A URL path that servers take literally: wildcards, quotes and blanks would mean something else in a configuration.
fn url_path(value: &str) -> Result<String, String> {
    if !value.starts_with('/') {
        return Err(format!("a URL path begins with a slash, for example /{value}"));
    }
    if let Some(c) = value.chars().find(|c| !(c.is_ascii_alphanumeric() || "/-._~!$&'()+,;=:@".contains(*c)))
    {
        return Err(format!("{c:?} cannot stand in a URL path here"));
    }
    if value.contains("//") || value.split('/').any(|part| part == "." || part == "..") {
        return Err("write it without empty, . and .. parts".to_owned());
    }
    let trimmed = value.trim_end_matches('/');
    Ok(if trimmed.is_empty() { "/".to_owned() } else { trimmed.to_owned() })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn httpd_itself_is_one_process() {
        let parse = |arguments: &str| Cli::try_parse_from(arguments.split(' '));
        assert!(parse("oxwsgi serve a.wsgi --embedded --threads 2").is_ok());
        assert!(parse("oxwsgi serve a.wsgi --embedded --processes 2").is_err());
    }

    #[test]
    fn url_paths_lose_their_last_slash() {
        assert_eq!(url_path("/"), Ok("/".to_owned()));
        assert_eq!(url_path("/shop/"), Ok("/shop".to_owned()));
    }

    #[test]
    fn url_paths_with_a_meaning_for_httpd_are_refused() {
        for value in ["", "shop", "/a b", "/a*", "/a\"b", "/a//b", "/a/../b", "/[a]", "/a\\b"] {
            assert!(url_path(value).is_err(), "{value:?} was accepted");
        }
    }

    #[test]
    fn a_static_route_needs_both_sides() {
        let route = StaticRoute { url: "/static".to_owned(), path: PathBuf::from("web/a=b") };
        assert_eq!(static_route("/static/=web/a=b"), Ok(route));
        for value in ["/static", "/static=", "static=web"] {
            assert!(static_route(value).is_err(), "{value:?} was accepted");
        }
    }
}
