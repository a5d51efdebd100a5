//! Servers, by which a daemon group that one virtual host defines is kept from the others.

use std::fmt;

/// The main server, or a virtual host by a number that no other one has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Host {
    /// What it defines is for everybody.
    #[default]
    Main,
    /// What it defines is for itself and for hosts of the same name, such as its twin on port 443.
    Virtual(usize),
}

/// What the server says of its virtual hosts.
pub trait Hosts: fmt::Debug {
    /// The one that a directive stands in, or that a request has come to.
    fn current(&self) -> Host;

    /// Its `ServerName`, as far as it is known by now.
    fn name(&self, host: Host) -> Option<&[u8]>;
}

/// Why a host may not use a group that another one has defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// Their names differ.
    OtherName,
    /// Only one of them has a name.
    NoName,
}

impl Host {
    /// Whether what this host defines may be used by the current one of `hosts`.
    pub fn admits(self, hosts: &dyn Hosts) -> Result<(), Foreign> {
        if self == Self::Main || self == hosts.current() {
            return Ok(());
        }
        match (hosts.name(self), hosts.name(hosts.current())) {
            (Some(own), Some(other)) if own.eq_ignore_ascii_case(other) => Ok(()),
            (None, None) => Ok(()),
            (Some(_), Some(_)) => Err(Foreign::OtherName),
            _ => Err(Foreign::NoName),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The current host, and the names of the main server (0) and virtual hosts.
    #[derive(Debug)]
    struct Named(Host, [Option<&'static str>; 4]);

    impl Hosts for Named {
        fn current(&self) -> Host {
            self.0
        }

        fn name(&self, host: Host) -> Option<&[u8]> {
            let index = if let Host::Virtual(number) = host { number } else { 0 };
            self.1[index].map(str::as_bytes)
        }
    }

    #[test]
    fn a_group_is_for_its_host_and_those_of_the_same_name() {
        let names = [Some("main"), Some("shop.example"), Some("Shop.Example"), Some("blog.example")];
        let admits = |owner, current| Host::admits(owner, &Named(current, names));
        assert_eq!(admits(Host::Main, Host::Virtual(1)), Ok(()));
        assert_eq!(admits(Host::Virtual(1), Host::Virtual(1)), Ok(()));
        assert_eq!(admits(Host::Virtual(1), Host::Virtual(2)), Ok(()));
        assert_eq!(admits(Host::Virtual(1), Host::Virtual(3)), Err(Foreign::OtherName));
        assert_eq!(admits(Host::Virtual(1), Host::Main), Err(Foreign::OtherName));
    }

    #[test]
    fn a_missing_name_is_no_name_in_common() {
        let names = [Some("main"), Some("shop.example"), None, None];
        let admits = |owner, current| Host::admits(owner, &Named(current, names));
        assert_eq!(admits(Host::Virtual(1), Host::Virtual(2)), Err(Foreign::NoName));
        assert_eq!(admits(Host::Virtual(2), Host::Virtual(1)), Err(Foreign::NoName));
        assert_eq!(admits(Host::Virtual(2), Host::Virtual(2)), Ok(()));
        assert_eq!(admits(Host::Virtual(2), Host::Virtual(3)), Ok(()));
    }
}
