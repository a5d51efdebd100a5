//! The environ keys that the server computes itself, as an enumeration: the adapter fills slots of an array, and the
//! runtime holds one key object for each, so that no name is hashed or compared on the way.

use crate::borrowed::MaybeBytes;

macro_rules! variables {
    ($($name:ident = $key:literal,)*) => {
        /// A computed environ key (RFC 3875 section 4.1, PEP 3333 "environ Variables", and mod_wsgi's own).
        #[repr(u8)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "each is the key it is named after")]
        pub enum Variable { $($name,)* }

        impl Variable {
            /// All, in the order of their slots.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The key in the environ.
            pub const fn key(self) -> &'static str {
                match self { $(Self::$name => $key,)* }
            }
        }
    };
}

variables! {
    RequestMethod = "REQUEST_METHOD",
    RequestUri = "REQUEST_URI",
    QueryString = "QUERY_STRING",
    ScriptName = "SCRIPT_NAME",
    PathInfo = "PATH_INFO",
    ServerProtocol = "SERVER_PROTOCOL",
    ServerName = "SERVER_NAME",
    ServerPort = "SERVER_PORT",
    ServerAddr = "SERVER_ADDR",
    ServerSoftware = "SERVER_SOFTWARE",
    ServerAdmin = "SERVER_ADMIN",
    RemoteAddr = "REMOTE_ADDR",
    RemotePort = "REMOTE_PORT",
    RemoteUser = "REMOTE_USER",
    AuthType = "AUTH_TYPE",
    DocumentRoot = "DOCUMENT_ROOT",
    ScriptFilename = "SCRIPT_FILENAME",
    RequestScheme = "REQUEST_SCHEME",
    ContextPrefix = "CONTEXT_PREFIX",
    ContextDocumentRoot = "CONTEXT_DOCUMENT_ROOT",
    RedirectUrl = "REDIRECT_URL",
    RedirectQueryString = "REDIRECT_QUERY_STRING",
    RedirectRemoteUser = "REDIRECT_REMOTE_USER",
    ProcessGroup = "mod_wsgi.process_group",
    ApplicationGroup = "mod_wsgi.application_group",
    CallableObject = "mod_wsgi.callable_object",
    RequestHandler = "mod_wsgi.request_handler",
    HandlerScript = "mod_wsgi.handler_script",
    OriginalScriptName = "mod_wsgi.script_name",
    OriginalPathInfo = "mod_wsgi.path_info",
    MountPoint = "mod_wsgi.mount_point",
    ListenerHost = "mod_wsgi.listener_host",
    ListenerPort = "mod_wsgi.listener_port",
    RequestId = "mod_wsgi.request_id",
    ConnectionId = "mod_wsgi.connection_id",
    ServerPid = "mod_wsgi.server_pid",
}

impl Variable {
    /// Whether the value names a file, and is decoded with the file system's encoding instead of latin-1.
    pub const fn is_path(self) -> bool {
        matches!(self, Self::DocumentRoot | Self::ScriptFilename)
    }
}

/// A value or its absence for every [`Variable`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Variables<'a> {
    slots: [MaybeBytes<'a>; Variable::COUNT],
}

impl<'a> Variables<'a> {
    /// None set.
    pub const EMPTY: Self = Self { slots: [MaybeBytes::ABSENT; Variable::COUNT] };

    /// The value of `variable`.
    #[inline]
    pub fn get(&self, variable: Variable) -> Option<&'a [u8]> {
        self.slots[variable as usize].get()
    }

    /// Sets or clears `variable`.
    #[inline]
    pub fn set(&mut self, variable: Variable, value: impl Into<MaybeBytes<'a>>) {
        self.slots[variable as usize] = value.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_and_names_agree() {
        for (slot, variable) in Variable::ALL.iter().enumerate() {
            assert_eq!(*variable as usize, slot);
        }
        assert_eq!(Variable::PathInfo.key(), "PATH_INFO");
    }

    #[test]
    fn set_and_cleared() {
        let mut variables = Variables::EMPTY;
        variables.set(Variable::PathInfo, &b"/x"[..]);
        assert_eq!(variables.get(Variable::PathInfo), Some(&b"/x"[..]));
        variables.set(Variable::PathInfo, None);
        assert_eq!(variables.get(Variable::PathInfo), None);
    }
}
