//! Lines on their way to where somebody reads them.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use oxwsgi_core::daemon::{NginxLog, NginxPlace, SyslogAddress, SyslogServer};

use super::*;

#[test]
fn lines_below_the_level_are_not_written() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut logs = Logs::default();
    let log = logs.open(&LogTarget::Descriptor(writer.as_raw_fd(), Level::Info)).unwrap();
    logs.write(log, Level::Debug, 1, b"no");
    logs.report(log, Level::Info, 1207, "yes");
    drop((logs, writer));
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert!(text.ends_with("] WSGI1207: yes\n") && text.lines().count() == 1, "{text}");
}

#[test]
fn a_pipe_that_nobody_reads_holds_up_nobody() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut logs = Logs::default();
    let log = logs.open(&LogTarget::Descriptor(writer.as_raw_fd(), Level::Info)).unwrap();
    let long = vec![b'x'; 3000];
    for _ in 0..100 {
        logs.write(log, Level::Error, 1, &long);
    }
    let lost = logs.sinks[0].outlets[0].lost();
    assert!(lost > 0);
    rustix::io::ioctl_fionbio(&reader, true).unwrap();
    let _ = reader.read_to_end(&mut Vec::new());
    logs.write(log, Level::Error, 1, b"again");
    drop((logs, writer));
    let mut text = String::new();
    File::from(OwnedFd::from(reader)).read_to_string(&mut text).unwrap();
    assert!(text.contains(&format!("{lost} lines are lost.")) && text.ends_with("again\n"), "{text}");
}

#[test]
fn a_closed_descriptor_is_named() {
    let complaint = Logs::default().open(&LogTarget::Descriptor(1_000_000, Level::Info)).unwrap_err();
    assert!(complaint.contains("1000000"), "{complaint}");
}

fn nginx(logs: impl IntoIterator<Item = (Level, NginxPlace)>) -> LogTarget {
    LogTarget::Nginx(logs.into_iter().map(|(level, place)| NginxLog { level, place }).collect())
}

fn append(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).unwrap()
}

#[test]
fn each_log_of_nginx_gets_the_lines_of_its_level() {
    let folder = tempfile::tempdir().unwrap();
    let [errors, all] = ["errors", "all"].map(|name| folder.path().join(name));
    let files = [append(&errors), append(&all)];
    let place = |file: &File| NginxPlace::File(file.as_raw_fd(), None);
    let target = nginx([(Level::Error, place(&files[0])), (Level::Info, place(&files[1]))]);
    let mut logs = Logs::default();
    let log = logs.open(&target).unwrap();
    logs.say(log, Level::Debug, "neither");
    logs.say(log, Level::Info, "one");
    logs.say(log, Level::Error, "both");
    let messages = |path: &Path| -> Vec<String> {
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(|line| line.rsplit_once(": ").unwrap().1.to_owned()).collect()
    };
    assert_eq!(messages(&errors), ["both"]);
    assert_eq!(messages(&all), ["one", "both"]);
}

#[test]
fn a_rotated_file_is_left_once_another_is_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let [path, old, bait] = ["error.log", "error.log.1", "bait"].map(|name| folder.path().join(name));
    let file = append(&path);
    let place = NginxPlace::File(file.as_raw_fd(), Some(path.as_os_str().as_bytes().to_vec()));
    let mut logs = Logs::default();
    let log = logs.open(&nginx([(Level::Info, place)])).unwrap();
    let mut say = |text: &str| {
        logs.say(log, Level::Info, text);
    };
    fs::rename(&path, &old).unwrap();
    say("nothing there");
    fs::write(&bait, "").unwrap();
    std::os::unix::fs::symlink(&bait, &path).unwrap();
    say("a link");
    fs::remove_file(&path).unwrap();
    drop(append(&path));
    say("a file");
    let text = |path: &Path| fs::read_to_string(path).unwrap();
    assert!(text(&old).contains("nothing there") && text(&old).contains("a link") && text(&bait).is_empty());
    assert!(text(&path).contains("a file") && !text(&old).contains("a file"));
}

#[test]
fn a_server_of_the_systems_log_gets_datagrams() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let internet = UdpSocket::bind("127.0.0.1:0").unwrap();
    let local = UnixDatagram::bind(&path).unwrap();
    let server = |address| {
        let tag = b"nginx".to_vec();
        NginxPlace::Syslog(SyslogServer { address, facility: 1, tag, hostname: None })
    };
    let addresses = [
        SyslogAddress::Internet(internet.local_addr().unwrap()),
        SyslogAddress::Unix(path.as_os_str().as_bytes().to_vec()),
    ];
    let mut logs = Logs::default();
    let log = logs.open(&nginx(addresses.map(|address| (Level::Info, server(address))))).unwrap();
    logs.say(log, Level::Warning, "hello");
    let mut buffer = [0; 500];
    let check = |message: &[u8]| {
        let text = String::from_utf8_lossy(message);
        assert!(text.starts_with("<12>") && text.contains(" nginx: ") && text.ends_with(": hello"), "{text}");
    };
    let length = internet.recv(&mut buffer).unwrap();
    check(&buffer[..length]);
    let length = local.recv(&mut buffer).unwrap();
    check(&buffer[..length]);
    // Another one in the same place.
    drop(local);
    fs::remove_file(&path).unwrap();
    logs.say(log, Level::Warning, "lost");
    let local = UnixDatagram::bind(&path).unwrap();
    logs.say(log, Level::Warning, "hello");
    let length = local.recv(&mut buffer).unwrap();
    check(&buffer[..length]);
}
