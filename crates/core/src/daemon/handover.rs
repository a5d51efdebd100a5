//! How the server's parent process starts the supervisor: the command line, the descriptors that it names, and what may
//! be said before the plan is understood. The server's module builds a [`Handover`], the supervisor parses it.
//!
//! `oxwsgi supervise --plan=3 --control=4 --lifeline=5 --drain=6 [--adopt=7:8,-,9:10]`
//!
//! `oxwsgi keep` gets the same: it starts a supervisor in its turn, and others after it (see [`Role`]).
//!
//! All descriptors that are named there, and those that the plan's [`LogTarget`](super::LogTarget)s name, are open and inherited
//! (without close-on-exec); standard input is the null device, standard output and errors are the server's error log.

#![forbid(unsafe_code)]

use std::os::fd::RawFd;

use super::message::decode;
use super::plan::Plan;

/// In place of a group's index in [`FromSupervisor::Failed`](super::FromSupervisor::Failed): no group can start.
pub const ALL_GROUPS: u32 = u32::MAX;

/// What the program is started as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It starts the groups' processes and looks after them.
    Supervisor,
    /// It starts a supervisor and others in the place of one that dies: for a server whose own parent process cannot, because
    /// nobody tells it of processes that it has not forked itself. It tells what its first supervisor tells, all in one when
    /// that is ready.
    Keeper,
}

impl Role {
    /// The first argument.
    pub const fn subcommand(self) -> &'static str {
        match self {
            Self::Supervisor => "supervise",
            Self::Keeper => "keep",
        }
    }
}

/// The descriptors of a supervisor, by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handover {
    /// A sealed memory file with the encoded [`Plan`]. Read from its start whatever its position is, so that it serves
    /// for another supervisor too.
    pub plan: RawFd,
    /// One end of a `SOCK_SEQPACKET` socket pair, blocking: `ToSupervisor` comes from it, `FromSupervisor` goes to it.
    pub control: RawFd,
    /// Read end of a pipe; when it ends, the server has ended, however that happened.
    pub lifeline: RawFd,
    /// Read end of a pipe; when it ends, no process of this generation is left that could send a request.
    pub drain: RawFd,
    /// When a killed supervisor is replaced: listening socket and board of each group of the plan, in its order; none
    /// for a group that the one before could not make, and this one is not to make either. Empty otherwise.
    pub adopted: Vec<Option<(RawFd, RawFd)>>,
}

impl Handover {
    /// The program: a file beside the server's module, owned as that is.
    pub const PROGRAM: &str = "oxwsgi";
    /// The arguments after the program's name.
    pub fn arguments(&self, role: Role) -> Vec<String> {
        let Self { plan, control, lifeline, drain, adopted } = self;
        let mut arguments = vec![
            role.subcommand().to_owned(),
            format!("--plan={plan}"),
            format!("--control={control}"),
            format!("--lifeline={lifeline}"),
            format!("--drain={drain}"),
        ];
        if !adopted.is_empty() {
            let pair = |pair: &Option<(RawFd, RawFd)>| match pair {
                Some((listener, board)) => format!("{listener}:{board}"),
                None => "-".to_owned(),
            };
            arguments.push(format!("--adopt={}", adopted.iter().map(pair).collect::<Vec<_>>().join(",")));
        }
        arguments
    }

    /// Parses the arguments after the subcommand.
    ///
    /// # Errors
    /// The argument that is wrong, or missing.
    pub fn parse<'a>(role: Role, arguments: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let subcommand = role.subcommand();
        let [mut plan, mut control, mut lifeline, mut drain] = [None; 4];
        let mut adopted = Vec::new();
        for argument in arguments {
            let wrong = || format!("{argument:?} is no argument of `{subcommand}`");
            let (name, value) = argument.split_once('=').ok_or_else(wrong)?;
            let place = match name {
                "--plan" => &mut plan,
                "--control" => &mut control,
                "--lifeline" => &mut lifeline,
                "--drain" => &mut drain,
                "--adopt" => {
                    adopted = value.split(',').map(pair).collect::<Option<_>>().ok_or_else(wrong)?;
                    continue;
                }
                _ => return Err(wrong()),
            };
            *place = Some(descriptor(value).ok_or_else(wrong)?);
        }
        let needed = |descriptor: Option<RawFd>, name: &str| {
            descriptor.ok_or_else(|| format!("`{subcommand}` needs the argument {name}"))
        };
        Ok(Self {
            plan: needed(plan, "--plan")?,
            control: needed(control, "--control")?,
            lifeline: needed(lifeline, "--lifeline")?,
            drain: needed(drain, "--drain")?,
            adopted,
        })
    }
}

fn descriptor(text: &str) -> Option<RawFd> {
    text.parse().ok().filter(|number| *number >= 0)
}

#[allow(clippy::option_option, reason = "the outer one is a wrong text")]
fn pair(text: &str) -> Option<Option<(RawFd, RawFd)>> {
    if text == "-" {
        return Some(None);
    }
    let (listener, board) = text.split_once(':')?;
    Some(Some((descriptor(listener)?, descriptor(board)?)))
}

impl Plan {
    /// The plan that `bytes` hold, when this package is of the version that wrote it.
    ///
    /// # Errors
    /// Says which two versions met, or that it is no plan.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        // The version is the first field of every plan, so that it can be read from a plan of any version.
        let ours = env!("CARGO_PKG_VERSION");
        match postcard::take_from_bytes::<String>(bytes) {
            Ok((theirs, _)) if theirs != ours && is_version(&theirs) => Err(format!(
                "the server's module is oxwsgi {theirs}, and the supervisor is oxwsgi {ours}: install both from one \
                 package, then restart the server"
            )),
            _ => {
                decode(bytes).ok_or_else(|| "the plan of the daemon process groups cannot be read".to_owned())
            }
        }
    }
}

fn is_version(text: &str) -> bool {
    text.len() <= 32
        && text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-+".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::super::{LogTarget, Server, encode};
    use super::*;
    use crate::report::Level;

    fn parse(arguments: &[String]) -> Result<Handover, String> {
        Handover::parse(Role::Supervisor, arguments[1..].iter().map(String::as_str))
    }

    #[test]
    fn arguments_come_back() {
        let mut handover = Handover { plan: 3, control: 4, lifeline: 5, drain: 6, adopted: vec![] };
        assert_eq!(parse(&handover.arguments(Role::Supervisor)).as_ref(), Ok(&handover));
        assert_eq!(handover.arguments(Role::Keeper)[0], "keep");
        handover.adopted = vec![Some((7, 8)), None, Some((9, 10))];
        let arguments = handover.arguments(Role::Supervisor);
        assert_eq!(
            arguments.join(" "),
            "supervise --plan=3 --control=4 --lifeline=5 --drain=6 --adopt=7:8,-,9:10"
        );
        assert_eq!(parse(&arguments), Ok(handover));
    }

    #[test]
    fn a_wrong_argument_is_named() {
        let complaint = |text: &str| Handover::parse(Role::Keeper, text.split(' ')).unwrap_err();
        assert!(complaint("--plan=3 --control=4 --lifeline=5").contains("`keep` needs the argument --drain"));
        for wrong in ["--plan=x", "--plan=-1", "--other=1", "plan", "--adopt=7", "--adopt="] {
            assert!(complaint(wrong).contains(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_plan_of_another_version_is_refused_by_name() {
        let mut plan = Plan {
            package_version: env!("CARGO_PKG_VERSION").to_owned(),
            strict: true,
            parent: None,
            server_user: 0,
            log: LogTarget::Descriptor(2, Level::Info),
            server: Server::default(),
            groups: vec![],
        };
        assert_eq!(Plan::read(&encode(&plan)), Ok(plan.clone()));
        plan.package_version = "99.0.1".to_owned();
        let complaint = Plan::read(&encode(&plan)).unwrap_err();
        assert!(complaint.contains("99.0.1") && complaint.contains(env!("CARGO_PKG_VERSION")), "{complaint}");
        assert!(Plan::read(b"\x05hello").unwrap_err().contains("cannot be read"));
        assert!(Plan::read(&[]).unwrap_err().contains("cannot be read"));
    }
}
