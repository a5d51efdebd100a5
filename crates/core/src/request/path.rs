//! Paths of a request: what the client asked for, and how the server's path splits into script and path info.

/// The target in a request line, `/a?b` of `GET /a?b HTTP/1.1`, as sent (RFC 9112 section 3).
#[inline]
pub fn request_target(line: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let Some(end) = line.iter().position(is_blank) else { return b"" };
    let rest = &line[end..];
    let Some(start) = rest.iter().position(|byte| !is_blank(byte)) else { return b"" };
    let rest = &rest[start..];
    &rest[..rest.iter().position(is_blank).unwrap_or(rest.len())]
}

/// What `path` is called where `root` is the root of the file system; none when it is outside.
pub fn below<'a>(root: &[u8], path: &'a [u8]) -> Option<&'a [u8]> {
    let root = root.strip_suffix(b"/").unwrap_or(root);
    match path.strip_prefix(root)? {
        b"" => Some(b"/"),
        inside @ [b'/', ..] => Some(inside),
        _ => None,
    }
}

/// The part of the decoded `uri` before `path_info`, which ends it: `SCRIPT_NAME` (RFC 3875 section 4.1.13).
///
/// A run of slashes in `uri` may be one slash in `path_info`, for the server merged them while it looked for the file.
#[inline]
pub fn script_name<'a>(uri: &'a [u8], path_info: &[u8]) -> &'a [u8] {
    let mut end = uri.len();
    let mut rest = path_info;
    while let ([before @ .., last], Some(byte)) = (rest, uri[..end].last())
        && last == byte
    {
        end -= 1;
        rest = before;
        if *byte == b'/' {
            while uri[..end].ends_with(b"/") {
                end -= 1;
            }
            while rest.ends_with(b"/") {
                rest = &rest[..rest.len() - 1];
            }
        }
    }
    // The two need not agree after a rewrite; then the script's name ends with a segment.
    let tail = &uri[end..];
    &uri[..end + tail.iter().position(|byte| *byte == b'/').unwrap_or(tail.len())]
}

/// Whether two slashes follow each other.
#[inline]
pub fn has_double_slash(path: &[u8]) -> bool {
    path.windows(2).any(|pair| pair == b"//")
}

/// Copies `path` to the start of `room`, each run of slashes as one; the length of the copy. `room` is at least as
/// long as `path`.
pub fn collapse_slashes(path: &[u8], room: &mut [u8]) -> usize {
    let mut length = 0;
    let mut after_slash = false;
    for byte in path {
        let is_slash = *byte == b'/';
        if !(is_slash && after_slash) {
            room[length] = *byte;
            length += 1;
        }
        after_slash = is_slash;
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_root_shortens_paths() {
        let seen = |root: &str, path: &'static str| {
            below(root.as_bytes(), path.as_bytes()).map(|path| str::from_utf8(path).unwrap())
        };
        assert_eq!(seen("/srv", "/srv/x.wsgi"), Some("/x.wsgi"));
        assert_eq!(seen("/srv/", "/srv/x.wsgi"), Some("/x.wsgi"));
        assert_eq!(seen("/", "/srv/x.wsgi"), Some("/srv/x.wsgi"));
        assert_eq!(seen("/srv", "/srv"), Some("/"));
        assert_eq!(seen("/srv", "/srv2/x.wsgi"), None);
        assert_eq!(seen("/srv", "/etc/x.wsgi"), None);
    }

    #[test]
    fn the_target_is_the_second_word() {
        assert_eq!(request_target(b"GET /a%20b?c=d HTTP/1.1"), b"/a%20b?c=d");
        assert_eq!(request_target(b"GET   http://x/ HTTP/1.1"), b"http://x/");
        assert_eq!(request_target(b"GET /old"), b"/old");
        assert_eq!(request_target(b"GET "), b"");
        assert_eq!(request_target(b""), b"");
    }

    #[test]
    fn script_and_path_info_make_the_path() {
        let name = |uri: &str, path_info: &str| {
            String::from_utf8(script_name(uri.as_bytes(), path_info.as_bytes()).to_vec()).unwrap()
        };
        assert_eq!(name("/app/x/y", "/x/y"), "/app");
        assert_eq!(name("/x/y", "/x/y"), "");
        assert_eq!(name("/", "/"), "");
        assert_eq!(name("/app", ""), "/app");
        assert_eq!(name("/app//x///y", "/x/y"), "/app");
        assert_eq!(name("/app//x//y", "//x//y"), "/app");
        assert_eq!(name("/other", "/x"), "/other");
        assert_eq!(name("/x", "/longer/x"), "");
    }

    #[test]
    fn slashes_collapse() {
        let collapsed = |path: &str| {
            let mut room = vec![0; path.len()];
            let length = collapse_slashes(path.as_bytes(), &mut room);
            String::from_utf8(room[..length].to_vec()).unwrap()
        };
        assert_eq!(collapsed("//a///b/"), "/a/b/");
        assert_eq!(collapsed(""), "");
        assert!(has_double_slash(b"/a//b") && !has_double_slash(b"/a/b/"));
    }
}
