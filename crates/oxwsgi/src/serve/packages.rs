//! The command that installs what is missing, on the systems that most have.

#![forbid(unsafe_code)]

use std::fs;

/// The command that installs a package here, from its names on Debian, Fedora, Alpine, Arch and SUSE.
pub fn install_command(packages: &[&str; 5]) -> String {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    install_command_on(&release, packages)
}

fn install_command_on(release: &str, packages: &[&str; 5]) -> String {
    let systems: Vec<&str> = release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")))
        .flat_map(|value| value.trim_matches(['"', '\'']).split_whitespace())
        .collect();
    let on = |names: &[&str]| systems.iter().any(|system| names.contains(system));
    let [debian, fedora, alpine, arch, suse] = packages;
    match () {
        () if on(&["debian", "ubuntu"]) => format!("apt-get install {debian}"),
        () if on(&["fedora", "rhel", "centos"]) => format!("dnf install {fedora}"),
        () if on(&["alpine"]) => format!("apk add {alpine}"),
        () if on(&["arch"]) => format!("pacman -S {arch}"),
        () if on(&["suse", "opensuse"]) => format!("zypper install {suse}"),
        () => format!("your system's package {fedora} or {debian}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HTTPD: [&str; 5] = ["apache2-bin", "httpd", "apache2", "apache", "apache2"];

    #[test]
    fn each_system_has_its_own_words() {
        let debian = install_command_on("ID=ubuntu\nID_LIKE=debian\n", &HTTPD);
        assert_eq!(debian, "apt-get install apache2-bin");
        let rocky = install_command_on("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", &HTTPD);
        assert_eq!(rocky, "dnf install httpd");
        assert_eq!(install_command_on("ID=arch\n", &HTTPD), "pacman -S apache");
    }
}
