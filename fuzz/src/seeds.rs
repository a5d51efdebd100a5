//! What oxwsgi's own encoders write, for each decoder: where a fuzzer begins, and what the tests change a little.

use std::path::Path;
use std::time::Duration;

use oxwsgi_core::config::{DaemonGroup, Host, ImportScript, ProcessSettings};
use oxwsgi_core::daemon::{
    Account, Draft, FromSupervisor, FromWorker, Group, LogTarget, NginxLog, NginxPlace, Plan, Reason, Server,
    SyslogAddress, SyslogServer, ToSupervisor, ToWorker, encode,
};
use oxwsgi_core::dialect::Dialect;
use oxwsgi_core::exchange::{Head, Outcome, RetryReason, Send};
use oxwsgi_core::report::Level;
use oxwsgi_core::request::{
    Authorization, BodyLength, ExtraVariable, Field, RequestView, ScriptKind, Target, Variable, Variables,
};
use oxwsgi_core::wire::{
    Hello, Inline, LAST_SEQUENCE, MOST_HEAD_FIELDS, announce_file, encode_body_end, encode_body_failed,
    encode_body_header, encode_data_header, encode_end, encode_file, encode_head, encode_hello, encode_log,
    encode_read, encode_request, encode_retry,
};

/// Makes the seeds of a target.
pub type Make = fn() -> Vec<Vec<u8>>;

/// The name of each target, and its seeds.
pub const ALL: [(&str, Make); 4] =
    [("request", requests), ("body", bodies), ("reply", replies), ("message", messages)];

/// Requests: one that has a little of everything, one that has as little as can be, one that asks for its body.
pub fn requests() -> Vec<Vec<u8>> {
    let mut variables = Variables::EMPTY;
    for (number, variable) in Variable::ALL.iter().enumerate() {
        if number % 3 > 0 {
            variables.set(*variable, variable.key().as_bytes());
        }
    }
    let headers = [Field::new(b"Host", b"localhost"), Field::new(b"Accept", b"*/*"), Field::new(b"X", b"")];
    let extra = [
        ExtraVariable { name: b"A"[..].into(), value: b"1"[..].into() },
        ExtraVariable { name: b"B"[..].into(), value: None.into() },
    ];
    let full = RequestView {
        variables,
        headers: headers[..].into(),
        extra: extra[..].into(),
        target: Target { script: b"/srv/app.wsgi"[..].into(), script_mtime: -1, ..Target::default() },
        body: BodyLength::Bytes(4),
        authorization: Authorization::Passed,
        https: true,
        head: false,
        content_filters: false,
        files_as_data: false,
        request_start: 1,
        queue_start: 2,
        daemon_start: 0,
    };
    let module = Target {
        process_group: b"shop"[..].into(),
        application_group: b"localhost|"[..].into(),
        script: b"shop.web"[..].into(),
        script_kind: ScriptKind::Module,
        callable: b"make"[..].into(),
        factory: true,
        ..Target::default()
    };
    let bare = RequestView {
        variables: Variables::EMPTY,
        headers: [][..].into(),
        extra: [][..].into(),
        target: module,
        body: BodyLength::None,
        authorization: Authorization::Hidden,
        ..full
    };
    let asking = RequestView {
        body: BodyLength::UntilEnd,
        authorization: Authorization::AllPassed,
        content_filters: true,
        files_as_data: true,
        ..full
    };
    [(full, 7, Inline::All(b"body")), (bare, 1, Inline::All(b"")), (asking, LAST_SEQUENCE, Inline::Nothing)]
        .map(|(view, sequence, inline)| {
            let mut out = Vec::new();
            encode_request(&mut out, &view, sequence, inline);
            out
        })
        .into()
}

/// Bodies: one of pieces, one with a piece beyond a reader's buffer, one that fails, one that has nothing in it.
pub fn bodies() -> Vec<Vec<u8>> {
    let pieces = |sizes: &[usize]| {
        let mut out = Vec::new();
        for size in sizes {
            out.extend_from_slice(&encode_body_header(*size));
            out.extend((0..*size).map(|number| number as u8));
        }
        out
    };
    let mut failed = pieces(&[3]);
    encode_body_failed(&mut failed, "the client took too long");
    let complete = |sizes: &[usize]| [&pieces(sizes)[..], &encode_body_end()].concat();
    vec![complete(&[3, 0, 40, 1]), complete(&[20_000, 2]), failed, complete(&[])]
}

/// Replies: with every kind of frame, with as many fields as there may be, and short ones.
pub fn replies() -> Vec<Vec<u8>> {
    let hello = Hello { pid: 1, slot: 2, connection: 3, base: 4 };
    let headers = [Field::new(b"Content-Type", b"text/plain"), Field::new(b"Content-Length", b"5")];
    let head = Head {
        status: 200,
        status_line: b"200 OK"[..].into(),
        headers: headers[..].into(),
        content_length: 5,
    };
    let with_head = |head: &Head<'_>| {
        let mut out = Vec::new();
        assert!(encode_head(&mut out, head), "within all limits");
        out
    };

    let mut every = Vec::new();
    encode_hello(&mut every, hello);
    encode_log(&mut every, Level::Info, b"line");
    encode_read(&mut every);
    every.extend(with_head(&head));
    every.extend_from_slice(&encode_data_header(2, Send::FLUSH));
    every.extend_from_slice(b"he");
    let mut with_file = with_head(&head);
    announce_file(&mut with_file);
    every.extend(with_file);
    encode_file(&mut every, 1, 3, Send::LAST | Send::DONE);
    encode_end(&mut every, Outcome::Sent);
    encode_end(&mut every, Outcome::Refused(404));
    encode_retry(&mut every, RetryReason::Reload);

    let fields = vec![Field::new(b"N", b""); MOST_HEAD_FIELDS as usize];
    let status_line = b"999"[..].into();
    let many = with_head(&Head { status: 999, status_line, headers: fields[..].into(), content_length: -1 });

    let ends = [
        Outcome::Broken,
        Outcome::ClientGone,
        Outcome::Retry(RetryReason::Stopping),
        Outcome::Retry(RetryReason::TooOld),
    ];
    let short = ends.map(|outcome| {
        let mut out = Vec::new();
        encode_hello(&mut out, hello);
        encode_end(&mut out, outcome);
        out
    });
    [every, many].into_iter().chain(short).collect()
}

/// Messages, one of each kind, and a plan with two groups.
pub fn messages() -> Vec<Vec<u8>> {
    let nginx = LogTarget::Nginx(vec![
        NginxLog { level: Level::Error, place: NginxPlace::File(9, Some(b"/var/log/error.log".to_vec())) },
        syslog(SyslogAddress::Internet(([127, 0, 0, 1], 514).into())),
        syslog(SyslogAddress::Unix(b"/dev/log".to_vec())),
    ]);
    let server = Server {
        dialect: Dialect::Nginx,
        version: [1, 22, 1],
        description: b"nginx/1.22.1".to_vec(),
        ..Server::default()
    };
    let plan = Plan {
        package_version: "0.1.0".to_owned(),
        strict: true,
        parent: Some(77),
        server_user: 33,
        log: nginx.clone(),
        server: server.clone(),
        groups: vec![group("shop", nginx), group("blog processes=2", LogTarget::Syslog(3, Level::Warning))],
    };
    let start = ToWorker::Start {
        group: Box::new(group(
            "shop threads=5 umask=027 home=/srv lang=de locale=C.UTF-8 python-path=/a:/b python-eggs=/eggs \
             memory-limit=5 request-timeout=60 queue-timeout=4 chroot=/jail display-name=%{GROUP}",
            LogTarget::Descriptor(7, Level::Info),
        )),
        server,
        slot: 1,
        epoch: 2,
        peers: vec![33, 0],
    };
    vec![
        encode(&ToSupervisor::Drain),
        encode(&FromSupervisor::Group(2)),
        encode(&FromSupervisor::Failed(0, "there is no Python at /venv".to_owned())),
        encode(&FromSupervisor::Ready),
        encode(&start),
        encode(&FromWorker::Ready),
        encode(&FromWorker::Ending(Reason::ScriptReload)),
        encode(&FromWorker::Stopping),
        encode(&FromWorker::Log(Level::Error, b"line".to_vec())),
        encode(&plan),
    ]
}

fn syslog(address: SyslogAddress) -> NginxLog {
    let server =
        SyslogServer { address, facility: 23, tag: b"nginx".to_vec(), hostname: Some(b"host".to_vec()) };
    NginxLog { level: Level::Info, place: NginxPlace::Syslog(server) }
}

/// A group as it goes from its settings into a plan.
fn group(options: &str, log: LogTarget) -> Group {
    let words: Vec<&[u8]> = options.split(' ').map(str::as_bytes).collect();
    let settings = DaemonGroup::parse(&words, Host::Main).expect("options that there are");
    let import = ImportScript {
        script: b"/srv/warm.py"[..].into(),
        process_group: settings.name.clone(),
        needs_python: true,
        ..ImportScript::default()
    };
    let process = ProcessSettings {
        python_warnings: vec![b"error"[..].into()],
        python_hash_seed: Some(b"random"[..].into()),
        imports: vec![import],
        ..ProcessSettings::default()
    };
    let (name, home) = (Some(b"www".to_vec()), Some(b"/home/www".to_vec()));
    let draft = Draft {
        account: Some(Account { uid: 5, gid: 9, groups: vec![9, 10], name, home }),
        server_user: 33,
        socket: b"/run/wsgi.1.sock".to_vec(),
        log,
        timeout: Duration::from_secs(60),
        executable: Path::new("/venv/bin/python3"),
        runtime: Path::new("/modules/oxwsgi_runtime.abi3.so"),
        environment: vec![(b"STAGE".to_vec(), b"test".to_vec())],
    };
    draft.complete(&settings, &process)
}
