//! A worker, and everybody it talks to, played by the test: the supervisor who starts it, and the server's processes, who
//! send requests.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, Instant};

use oxwsgi_core::borrowed::Slice;
use oxwsgi_core::daemon::board::{Board, Process};
use oxwsgi_core::daemon::{
    FromWorker, Group, Import, Limits, LogTarget, Python, Resources, Server, ToWorker, bootstrap, decode,
    encode,
};
use oxwsgi_core::dialect::Dialect;
use oxwsgi_core::exchange::{Outcome, RetryReason, Send};
use oxwsgi_core::os::packet::{self, Wait};
use oxwsgi_core::report::Level;
use oxwsgi_core::request::{
    Authorization, BodyLength, Field, RequestView, ScriptKind, Target, Variable, Variables,
};
use oxwsgi_core::wire::{Hello, Inline, ReplyFrame, encode_request};

/// What a test waits for comes within this time, or never.
const PATIENCE: Duration = Duration::from_secs(20);

/// A folder with a script, a group, and its worker when it was started.
pub struct Stage {
    pub folder: tempfile::TempDir,
    pub group: Group,
    pub server: Server,
}

/// A worker and its supervisor.
pub struct Worker {
    pub child: Child,
    pub board: Board,
    pub socket: PathBuf,
    control: Option<OwnedFd>,
    lifeline: Option<io::PipeWriter>,
    drain: Option<io::PipeWriter>,
    messages: Arc<Mutex<VecDeque<FromWorker>>>,
    pub log: Arc<Mutex<Vec<String>>>,
    script: PathBuf,
    errors: PathBuf,
    _listener: UnixListener,
}

impl Stage {
    /// One with a script of these lines.
    pub fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("app.wsgi"), script).unwrap();
        let group = Group {
            name: b"site".to_vec(),
            processes: 1,
            threads: 2,
            multiprocess: false,
            account: None,
            foreign: false,
            socket: Vec::new(),
            socket_user: 0,
            backlog: 100,
            socket_buffers: (0, 0),
            log: LogTarget::Descriptor(2, Level::Info),
            umask: None,
            chroot: None,
            home: None,
            lang: None,
            locale: None,
            environment: Vec::new(),
            display_name: None,
            resources: Resources::default(),
            limits: Limits {
                graceful: Some(Duration::from_secs(15)),
                shutdown: Some(Duration::from_secs(5)),
                ..Limits::default()
            },
            python: Python {
                executable: python(),
                runtime: runtime().as_os_str().as_bytes().to_vec(),
                restrict_signal: true,
                destroy_interpreter: true,
                case_sensitivity: true,
                ..Python::default()
            },
            imports: Vec::new(),
        };
        let server = Server { version: [2, 4, 62], ..Server::default() };
        Self { folder, group, server }
    }

    pub fn script(&self) -> PathBuf {
        self.folder.path().join("app.wsgi")
    }

    /// When the script was last changed, in microseconds since the epoch.
    pub fn mtime(&self) -> i64 {
        use std::os::unix::fs::MetadataExt;
        let metadata = std::fs::metadata(self.script()).unwrap();
        metadata.mtime() * 1_000_000 + metadata.mtime_nsec() / 1000
    }

    /// Has the script loaded at the start.
    pub fn import(mut self) -> Self {
        let script = self.script().as_os_str().as_bytes().to_vec();
        self.group.imports.push(Import { script, ..Import::default() });
        self
    }

    /// Has nginx for the server.
    pub fn under_nginx(mut self) -> Self {
        self.server = Server { dialect: Dialect::Nginx, version: [1, 26, 3], ..Server::default() };
        self
    }

    /// Adds a file to a directory of the group's `python-path`.
    pub fn module(mut self, path: &str, source: &str) -> Self {
        let directory = self.folder.path().join("path");
        let file = directory.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, source).unwrap();
        self.group.python.path = vec![directory.into_os_string().into_encoded_bytes()];
        self
    }

    /// Changes the group.
    pub fn with(mut self, change: impl FnOnce(&mut Group)) -> Self {
        change(&mut self.group);
        self
    }

    /// What starts the worker, but for its control socket.
    pub fn command(&self) -> Command {
        let words = bootstrap::command(&self.group);
        let mut command = Command::new(OsStr::from_bytes(&words[0]));
        command.args(words[1..].iter().map(|word| OsStr::from_bytes(word)));
        for (name, value) in bootstrap::environment(&self.group) {
            command.env(name, OsStr::from_bytes(&value));
        }
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    /// Starts a worker, which is not ready yet.
    pub fn start(&self) -> Worker {
        let worker = self.start_unheard();
        let socket = worker.control.as_ref().unwrap().try_clone().unwrap();
        let (messages, log) = (Arc::clone(&worker.messages), Arc::clone(&worker.log));
        std::thread::spawn(move || listen(&socket, &messages, &log));
        worker
    }

    /// Starts a worker whose supervisor does not listen.
    pub fn start_unheard(&self) -> Worker {
        let socket = self.folder.path().join("socket");
        let _ = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).unwrap();
        let (board, board_descriptor) = Board::create(1, self.group.threads).unwrap();
        let (control, theirs) = packet::pair().unwrap();
        let (lifeline_end, lifeline) = io::pipe().unwrap();
        let (drain_end, drain) = io::pipe().unwrap();
        let mut command = self.command();
        let number = theirs.as_raw_fd();
        let give_control = move || {
            // SAFETY: plain numbers. What the test itself was started with is none of the worker's business.
            unsafe {
                libc::close_range(bootstrap::CONTROL as u32 + 1, u32::MAX, libc::CLOSE_RANGE_CLOEXEC as i32)
            };
            // SAFETY: plain numbers.
            if unsafe { libc::dup2(number, bootstrap::CONTROL) } < 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(())
        };
        // SAFETY: the closure calls functions that are allowed between fork and exec.
        unsafe { command.pre_exec(give_control) };
        let errors = self.folder.path().join("errors");
        command.stderr(std::fs::File::create(&errors).unwrap());
        let child = command.spawn().unwrap();
        drop(theirs);
        let process = board.process(0).unwrap();
        process.assign();
        process.set_pid(child.id());
        let message = ToWorker::Start {
            group: Box::new(self.group.clone()),
            server: self.server.clone(),
            slot: 0,
            epoch: board.next_epoch(),
            // SAFETY: takes nothing and cannot fail.
            peers: vec![unsafe { libc::getuid() }],
        };
        let descriptors =
            [listener.as_fd(), board_descriptor.as_fd(), lifeline_end.as_fd(), drain_end.as_fd()];
        packet::send(&control, &encode(&message), &descriptors, Wait::Socket).unwrap();
        Worker {
            child,
            board,
            socket,
            control: Some(control),
            drain: Some(drain),
            lifeline: Some(lifeline),
            messages: Arc::default(),
            log: Arc::default(),
            script: self.script(),
            errors,
            _listener: listener,
        }
    }

    /// Starts a worker and waits until it takes requests.
    pub fn ready(&self) -> Worker {
        let worker = self.start();
        worker.expect(&FromWorker::Ready);
        worker
    }
}

fn listen(socket: &OwnedFd, messages: &Mutex<VecDeque<FromWorker>>, log: &Mutex<Vec<String>>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(packet) = packet::receive(socket, &mut buffer, 0, Wait::Socket) {
        if packet.length == 0 {
            break;
        }
        match decode(&buffer[..packet.length]) {
            Some(FromWorker::Log(_, line)) => {
                let line = String::from_utf8_lossy(&line).into_owned();
                eprintln!("log: {line}");
                log.lock().unwrap().push(line);
            }
            Some(message) => messages.lock().unwrap().push_back(message),
            None => panic!("a packet that is no message"),
        }
    }
}

/// The Python to test with.
pub fn python() -> Vec<u8> {
    std::env::var_os("OXWSGI_TEST_PYTHON")
        .map_or_else(|| b"/usr/bin/python3".to_vec(), |path| path.as_bytes().to_vec())
}

/// The runtime as it is now: cargo does not build a library of this kind for the tests beside it.
fn runtime() -> PathBuf {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| {
        // Not set when the test's program is run without cargo: then whoever does that has built it.
        if let Some(cargo) = std::env::var_os("CARGO") {
            let built =
                Command::new(cargo).args(["build", "--quiet", "--package", "oxwsgi-runtime"]).status();
            assert!(built.is_ok_and(|status| status.success()), "the runtime cannot be built");
        }
    });
    let own = std::env::current_exe().unwrap();
    own.parent().unwrap().join("liboxwsgi_runtime.so")
}

/// Waits until `check` is true.
#[track_caller]
pub fn wait_for(what: &str, mut check: impl FnMut() -> bool) {
    let start = Instant::now();
    while !check() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Worker {
    /// Waits for this message; what else came before it is forgotten.
    #[track_caller]
    pub fn expect(&self, expected: &FromWorker) {
        wait_for(&format!("{expected:?}"), || {
            while let Some(message) = self.messages.lock().unwrap().pop_front() {
                if message == *expected {
                    return true;
                }
            }
            false
        });
    }

    /// Waits for a line of the log that holds these words.
    #[track_caller]
    pub fn expect_log(&self, words: &str) {
        wait_for(words, || self.log.lock().unwrap().iter().any(|line| line.contains(words)));
    }

    /// What the worker has written to standard error.
    pub fn errors(&self) -> String {
        std::fs::read_to_string(&self.errors).unwrap()
    }

    pub fn process(&self) -> Process<'_> {
        self.board.process(0).unwrap()
    }

    /// Waits for the end of the process.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_for("the end", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    pub fn signal(&self, signal: i32) {
        // SAFETY: plain numbers, and the child has not been waited for.
        unsafe { libc::kill(self.child.id() as i32, signal) };
    }

    /// The server's parent process is gone.
    pub fn cut_lifeline(&mut self) {
        self.lifeline = None;
    }

    /// No process is left that could send a request.
    pub fn cut_drain(&mut self) {
        self.drain = None;
    }

    /// The supervisor is gone.
    pub fn cut_control(&mut self) {
        let control = self.control.take().unwrap();
        rustix::net::shutdown(&control, rustix::net::Shutdown::Both).unwrap();
    }

    /// A connection to the worker.
    pub fn connect(&self) -> Connection {
        Connection {
            socket: UnixStream::connect(&self.socket).unwrap(),
            sequence: 0,
            hello: None,
            input: Vec::new(),
            descriptors: VecDeque::new(),
            script: self.script.clone(),
        }
    }

    /// One request over a connection of its own.
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.connect().get(path)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        eprint!("{}", self.errors());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection of a server's process.
pub struct Connection {
    pub socket: UnixStream,
    pub sequence: u32,
    pub hello: Option<Hello>,
    input: Vec<u8>,
    descriptors: VecDeque<OwnedFd>,
    script: PathBuf,
}

/// What came of a request.
#[derive(Debug, Default)]
pub struct Answer {
    pub status_line: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub log: Vec<String>,
    /// None: the connection was closed before the end.
    pub outcome: Option<Outcome>,
    pub retry: Option<RetryReason>,
    /// Whether the worker has asked for the body.
    pub was_read: bool,
    /// Whether all bytes had been announced as the last.
    pub is_complete: bool,
    /// Whether the body came as a file.
    pub is_file: bool,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A request to send.
pub struct Request<'a> {
    pub path: &'a str,
    pub body: Body<'a>,
    pub mtime: i64,
    pub queue_start: i64,
    pub application_group: &'a str,
    /// Instead of the stage's script.
    pub module: Option<&'a str>,
    pub callable: &'a str,
    pub factory: bool,
}

/// The body of a request.
pub enum Body<'a> {
    None,
    Inline(&'a [u8]),
    /// Sent in pieces of this size when it is asked for.
    Pieces(&'a [u8], usize),
    /// Asked for, it cannot be read after these bytes.
    Broken(&'a [u8], &'a str),
}

impl<'a> Request<'a> {
    pub fn to(path: &'a str) -> Self {
        Self {
            path,
            body: Body::None,
            mtime: -1,
            queue_start: 0,
            application_group: "",
            module: None,
            callable: "application",
            factory: false,
        }
    }
}

impl Connection {
    /// Takes a ticket's place: sends a request without waiting for the answer.
    pub fn send(&mut self, request: &Request<'_>) -> io::Result<()> {
        self.sequence += 1;
        let mut variables = Variables::EMPTY;
        variables.set(Variable::RequestMethod, &b"GET"[..]);
        variables.set(Variable::PathInfo, request.path.as_bytes());
        variables.set(Variable::QueryString, &b""[..]);
        let headers = [Field::new(b"Host", b"localhost"), Field::new(b"User-Agent", b"test")];
        let (body, inline) = match request.body {
            Body::None => (BodyLength::None, Inline::Nothing),
            Body::Inline(body) => (BodyLength::Bytes(body.len() as u64), Inline::All(body)),
            Body::Pieces(body, _) => (BodyLength::Bytes(body.len() as u64), Inline::Nothing),
            Body::Broken(..) => (BodyLength::UntilEnd, Inline::Nothing),
        };
        let view = RequestView {
            variables,
            headers: (&headers[..]).into(),
            extra: Slice::EMPTY,
            target: Target {
                process_group: b"site"[..].into(),
                application_group: request.application_group.into(),
                script: request.module.map_or(self.script.as_os_str().as_bytes(), str::as_bytes).into(),
                script_kind: request.module.map_or(ScriptKind::File, |_| ScriptKind::Module),
                callable: request.callable.into(),
                factory: request.factory,
                resource: self.script.as_os_str().as_bytes().into(),
                script_mtime: request.mtime,
                script_reloading: request.mtime >= 0,
                ignore_activity: false,
            },
            body,
            authorization: Authorization::Hidden,
            https: false,
            head: false,
            content_filters: false,
            files_as_data: false,
            request_start: 1,
            queue_start: request.queue_start,
            daemon_start: 0,
        };
        let mut frame = Vec::new();
        encode_request(&mut frame, &view, self.sequence, inline);
        self.socket.write_all(&frame)
    }

    /// Reads the answer to the request that was sent.
    pub fn receive(&mut self, request: &Request<'_>) -> Answer {
        self.receive_until(request, |_| false)
    }

    /// Reads the answer as far as `is_enough`.
    pub fn receive_until(&mut self, request: &Request<'_>, is_enough: impl Fn(&Answer) -> bool) -> Answer {
        use oxwsgi_core::wire::{encode_body_end, encode_body_failed, encode_body_header};
        let mut answer = Answer::default();
        let mut file_follows = false;
        while !is_enough(&answer) {
            let Some((frame, taken)) = ReplyFrame::decode(&self.input).unwrap() else {
                if !self.fill() {
                    break;
                }
                continue;
            };
            let mut taken = taken;
            let is_announced = std::mem::take(&mut file_follows);
            assert_eq!(
                is_announced,
                matches!(frame, ReplyFrame::File(..)),
                "a file comes after its announcement"
            );
            match frame {
                ReplyFrame::Hello(hello) => self.hello = Some(hello),
                ReplyFrame::Read => {
                    answer.was_read = true;
                    let mut frames = Vec::new();
                    match request.body {
                        Body::Pieces(body, size) => {
                            for piece in body.chunks(size) {
                                frames.extend(encode_body_header(piece.len()));
                                frames.extend(piece);
                            }
                            frames.extend(encode_body_end());
                        }
                        Body::Broken(body, text) => {
                            frames.extend(encode_body_header(body.len()));
                            frames.extend(body);
                            encode_body_failed(&mut frames, text);
                        }
                        Body::None | Body::Inline(_) => panic!("a body is asked for that is not there"),
                    }
                    // Both directions at once, as a server does it.
                    let mut socket = self.socket.try_clone().unwrap();
                    std::thread::spawn(move || socket.write_all(&frames));
                }
                ReplyFrame::Head(head) => {
                    file_follows = head.announces_file();
                    let head = head.head();
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    answer.status_line = text(&head.status_line);
                    answer.headers =
                        head.headers.iter().map(|field| (text(&field.name), text(&field.value))).collect();
                }
                ReplyFrame::Data(length, flags) => {
                    assert!(!answer.is_file, "a file is the whole body");
                    while self.input.len() < taken + length {
                        assert!(self.fill(), "the connection ends inside of a frame");
                    }
                    answer.body.extend_from_slice(&self.input[taken..taken + length]);
                    answer.is_complete |= flags.has(Send::LAST);
                    taken += length;
                }
                ReplyFrame::File(offset, length, flags) => {
                    use std::os::unix::fs::FileExt;
                    let file = std::fs::File::from(self.descriptors.pop_front().expect("a descriptor"));
                    let mut bytes = vec![0; length as usize];
                    file.read_exact_at(&mut bytes, offset).unwrap();
                    answer.body.extend(bytes);
                    answer.is_file = true;
                    answer.is_complete |= flags.has(Send::LAST);
                }
                ReplyFrame::Log(_, line) => answer.log.push(String::from_utf8_lossy(line).into_owned()),
                ReplyFrame::End(outcome) => answer.outcome = Some(outcome),
                ReplyFrame::Retry(reason) => answer.retry = Some(reason),
            }
            self.input.drain(..taken);
            if answer.outcome.is_some() || answer.retry.is_some() {
                break;
            }
        }
        answer
    }

    /// A request and its answer.
    #[track_caller]
    pub fn ask(&mut self, request: &Request<'_>) -> Answer {
        self.send(request).unwrap();
        self.receive(request)
    }

    #[track_caller]
    pub fn get(&mut self, path: &str) -> Answer {
        self.ask(&Request::to(path))
    }

    /// Reads some bytes; false at the end.
    fn fill(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        match receive(self.socket.as_fd(), &mut buffer, &mut self.descriptors) {
            Ok(0) | Err(_) => false,
            Ok(count) => {
                self.input.extend_from_slice(&buffer[..count]);
                true
            }
        }
    }

    /// Whether the worker has closed the connection.
    pub fn is_closed(&mut self) -> bool {
        self.socket.set_nonblocking(true).unwrap();
        let mut buffer = [0; 1024];
        let result = self.socket.read(&mut buffer);
        self.socket.set_nonblocking(false).unwrap();
        match result {
            Ok(0) => true,
            Ok(count) => {
                self.input.extend_from_slice(&buffer[..count]);
                false
            }
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }
}

fn receive(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    descriptors: &mut VecDeque<OwnedFd>,
) -> io::Result<usize> {
    let packet = packet::receive(socket, buffer, 1, Wait::Socket)?;
    descriptors.extend(packet.descriptors);
    Ok(packet.length)
}
