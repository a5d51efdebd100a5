//! Why nginx refuses the module, from what it says before it ends: a module fits one nginx only.

#![forbid(unsafe_code)]

use std::path::Path;

use crate::problem::Problem;

use super::program::Nginx;

/// Cause and cure, if that is what `messages` are about. The rest of them speak for themselves.
pub fn explain(messages: &[String], nginx: &Nginx, module: &Path) -> Option<Problem> {
    let built_for = messages.iter().find_map(|message| other_version(message));
    let is_other_build = || messages.iter().any(|message| message.contains("is not binary compatible"));
    let what = match built_for {
        Some(version) => format!("was built for nginx {version}"),
        None if is_other_build() => {
            format!("was built for an nginx {} that was configured in another way", nginx.version)
        }
        None => return None,
    };
    let program = nginx.program.display();
    Some(
        Problem::new(format!("The nginx module {what}, and {program} is nginx {}", nginx.version))
            .detail(format!("The module is {}; nginx loads only what was built for itself.", module.display()))
            .cure(format!(
                "build it for this one, in the source directory: make nginx, with the package of nginx {}'s headers \
                 (Debian: nginx-dev) or its sources in NGINX_SOURCE",
                nginx.version
            ))
            .cure("run the nginx that it was built for: --nginx FILE"),
    )
}

/// The version in `module "x.so" version 1022001 instead of 1026003`: that of the module.
fn other_version(message: &str) -> Option<String> {
    let (before, after) = message.split_once(" instead of ")?;
    let number: u32 = before.rsplit(' ').next()?.parse().ok()?;
    let is_version = before.contains("module ") && before.contains(" version ");
    let wanted = after.split(|c: char| !c.is_ascii_digit()).next().is_some_and(|digits| digits.len() >= 7);
    (is_version && wanted)
        .then(|| format!("{}.{}.{}", number / 1_000_000, number / 1000 % 1000, number % 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_is_cause_and_cure() {
        let message = "module \"/m/x.so\" version 1022001 instead of 1026003 in /tmp/nginx.conf:3";
        assert_eq!(other_version(message).as_deref(), Some("1.22.1"));
        assert_eq!(other_version("it came instead of 1"), None);
        assert_eq!(other_version("module of version 2 instead of 3"), None);
    }

    #[test]
    fn only_the_modules_refusal_is_explained() {
        let nginx = Nginx::from_answer(Path::new("/usr/sbin/nginx"), "nginx version: nginx/1.26.3\n");
        let nginx = nginx.expect("an nginx");
        let explained = |message: &str| explain(&[message.to_owned()], &nginx, Path::new("/m/x.so"));
        assert_eq!(explained("unknown directive \"x\""), None);
        let text = explained("module \"/m/x.so\" is not binary compatible").expect("a problem").to_string();
        assert!(text.contains("make nginx"), "{text}");
    }
}
