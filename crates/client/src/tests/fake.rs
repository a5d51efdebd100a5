//! A group whose workers are threads that follow a script, and an exchange whose client is the other end of a socket.

use std::collections::HashSet;
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oxwsgi_core::borrowed::Bytes;
use oxwsgi_core::daemon::board::{Board, Mark};
use oxwsgi_core::dialect::Dialect;
use oxwsgi_core::exchange::{Exchange, FlowError, Head, Outcome, Send};
use oxwsgi_core::report::Level;
use oxwsgi_core::request::{BodyLength, Field, RequestView, Target, Variable, Variables};
use oxwsgi_core::wire::{
    BodyFrame, DecodedRequest, HEADER, Hello, Inline, RequestHead, announce_file, encode_data_header,
    encode_end, encode_head, encode_hello, encode_read,
};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tempfile::TempDir;

use crate::{ClientSettings, GroupClient, ServerExchange};

/// The process number of slot 0; that of the others follows.
pub const PID: u32 = 4000;

pub struct Group {
    pub client: GroupClient,
    pub board: Arc<Board>,
    pub listener: Arc<UnixListener>,
    pub socket: PathBuf,
    _folder: TempDir,
}

/// Those of a group without options.
pub fn settings() -> ClientSettings {
    ClientSettings {
        dialect: Dialect::Httpd,
        name: b"group"[..].into(),
        socket: PathBuf::new(),
        processes: 1,
        backlog: 100,
        connect_timeout: Duration::from_secs(10),
        socket_timeout: Some(Duration::from_secs(10)),
        header_buffer_size: 32_768,
        response_socket_timeout: None,
        root: None,
        script_owner: None,
    }
}

impl Group {
    pub fn new(processes: u32, threads: u32) -> Self {
        Self::with(processes, threads, |_| ())
    }

    pub fn with(processes: u32, threads: u32, change: impl FnOnce(&mut ClientSettings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let listener = Arc::new(UnixListener::bind(&socket).unwrap());
        let mut settings = ClientSettings { socket: socket.clone(), processes, ..settings() };
        change(&mut settings);
        let (board, descriptor) = Board::create(processes, threads).unwrap();
        for (slot, process) in board.all() {
            process.assign();
            process.set_pid(PID + slot);
            process.open();
        }
        let own = Board::open(descriptor.as_fd()).unwrap();
        let client = GroupClient::new(settings, Some(own));
        Self { client, board: Arc::new(board), listener, socket, _folder: folder }
    }

    /// Takes one connection after another, each as the number it has, and does `script` with it.
    pub fn accept(&self, script: impl Fn(&mut Session) + Sync + Copy + std::marker::Send + 'static) {
        self.accept_as(0, script);
    }

    /// As the process of `slot`.
    pub fn accept_as(
        &self,
        slot: u32,
        script: impl Fn(&mut Session) + Sync + Copy + std::marker::Send + 'static,
    ) {
        let (listener, board) = (Arc::clone(&self.listener), Arc::clone(&self.board));
        std::thread::spawn(move || {
            for connection in 0.. {
                let Ok((stream, _)) = listener.accept() else { return };
                let board = Arc::clone(&board);
                std::thread::spawn(move || script(&mut Session::new(stream, board, slot, connection)));
            }
        });
    }

    /// Serves a GET.
    pub fn get(&self) -> (Outcome, TestExchange) {
        let mut exchange = TestExchange::new();
        let outcome = with_view(BodyLength::None, &[], |view| self.client.serve(view, &mut exchange));
        (outcome, exchange)
    }
}

/// One request to a worker that does as `script` says.
pub fn answered(
    script: impl Fn(&mut Session) + Sync + Copy + std::marker::Send + 'static,
) -> (Outcome, TestExchange) {
    let group = Group::new(1, 1);
    group.accept(script);
    group.get()
}

/// A request for the group.
pub fn with_view<R>(
    body: BodyLength,
    headers: &[Field<'_>],
    use_it: impl FnOnce(&RequestView<'_>) -> R,
) -> R {
    let mut variables = Variables::EMPTY;
    variables.set(Variable::RequestMethod, &b"GET"[..]);
    variables.set(Variable::RequestUri, &b"/path?query"[..]);
    use_it(&RequestView {
        variables,
        headers: headers.into(),
        extra: (&[][..]).into(),
        target: Target { script: b"/s.wsgi"[..].into(), ..Target::default() },
        body,
        authorization: oxwsgi_core::request::Authorization::Hidden,
        https: false,
        head: false,
        content_filters: false,
        files_as_data: false,
        request_start: 1,
        queue_start: 0,
        daemon_start: 0,
    })
}

/// A connection as a worker's thread sees it.
pub struct Session {
    pub stream: UnixStream,
    pub board: Arc<Board>,
    pub slot: u32,
    pub connection: u32,
    /// What the numbers of its mark are ahead of those in frames.
    pub base: u32,
    pub sequence: u32,
    /// The body that came with the last request.
    pub inline: Option<Vec<u8>>,
    pub out: Vec<u8>,
    unread: Vec<u8>,
}

impl Session {
    pub fn new(stream: UnixStream, board: Arc<Board>, slot: u32, connection: u32) -> Self {
        let (base, sequence, inline, out, unread) = (0, 0, None, Vec::new(), Vec::new());
        Self { stream, board, slot, connection, base, sequence, inline, out, unread }
    }

    pub fn hello(&mut self) {
        self.base = board_mark(&self.board, self.slot, self.connection).begin();
        let Self { slot, connection, base, .. } = *self;
        let hello = Hello { pid: PID + slot, slot, connection, base };
        encode_hello(&mut self.out, hello);
        self.flush();
    }

    /// The next request. False when there is none.
    pub fn request(&mut self) -> bool {
        let header = loop {
            if let Some(header) = RequestHead::frame(&self.unread).unwrap()
                && self.unread.len() >= HEADER + header.length
            {
                break header;
            }
            if !self.read_more() {
                return false;
            }
        };
        let frame: Vec<u8> = self.unread.drain(..HEADER + header.length).collect();
        let request = DecodedRequest::decode(&frame[HEADER..]).unwrap();
        assert!(request.view().queue_start > 0);
        self.sequence = request.head.sequence;
        self.inline = match request.head.inline {
            Inline::Nothing => None,
            Inline::All(body) => Some(body.to_vec()),
        };
        true
    }

    /// Says nothing more until the client has closed the connection.
    pub fn wait_for_the_end(&mut self) {
        while self.read_more() {}
    }

    fn read_more(&mut self) -> bool {
        let mut buffer = vec![0; 65_536];
        match self.stream.read(&mut buffer) {
            Ok(0) | Err(_) => false,
            Ok(count) => {
                self.unread.extend_from_slice(&buffer[..count]);
                true
            }
        }
    }

    /// Hello, a request, and the mark that its application is called.
    pub fn begin(&mut self) {
        self.hello();
        assert!(self.request());
        self.mark(|mark, sequence| mark.accept(sequence));
    }

    /// Changes the mark, given the number that it has for the last request.
    pub fn mark(&self, change: impl FnOnce(Mark<'_>, u32)) {
        change(board_mark(&self.board, self.slot, self.connection), self.base + self.sequence);
    }

    /// Asks for the body and gives it whole, or what the client says of its failure.
    pub fn body(&mut self) -> Result<Vec<u8>, (Vec<u8>, String)> {
        encode_read(&mut self.out);
        self.flush();
        let mut body = Vec::new();
        loop {
            let frame = BodyFrame::decode(&self.unread).unwrap();
            let length = match frame {
                Some(BodyFrame::End) => {
                    self.unread.drain(..HEADER);
                    return Ok(body);
                }
                Some(BodyFrame::Piece(length) | BodyFrame::Failed(length)) => length,
                None => usize::MAX - HEADER,
            };
            if self.unread.len() < HEADER + length {
                assert!(self.read_more(), "the client has gone");
                continue;
            }
            let payload: Vec<u8> = self.unread.drain(..HEADER + length).skip(HEADER).collect();
            match frame {
                Some(BodyFrame::Failed(_)) => return Err((body, String::from_utf8(payload).unwrap())),
                _ => body.extend(payload),
            }
        }
    }

    /// Puts a head of 200 into the next packet.
    pub fn head(&mut self, content_length: i64, fields: &[Field<'_>]) {
        let status_line = b"200 OK"[..].into();
        let head = Head { status: 200, status_line, headers: fields.into(), content_length };
        assert!(encode_head(&mut self.out, &head));
    }

    /// The same for a body that is a file, which is to be the next frame.
    pub fn head_of_file(&mut self, content_length: i64) {
        let start = self.out.len();
        self.head(content_length, &[]);
        announce_file(&mut self.out[start..]);
    }

    /// Puts a piece of the body into the next packet.
    pub fn data(&mut self, bytes: &[u8], flags: Send) {
        self.out.extend_from_slice(&encode_data_header(bytes.len(), flags));
        self.out.extend_from_slice(bytes);
    }

    pub fn end(&mut self, outcome: Outcome) {
        encode_end(&mut self.out, outcome);
    }

    /// A whole reply in one packet, as a worker sends it that has nothing else to do for the request.
    pub fn reply(&mut self, bytes: &[u8]) {
        self.head(bytes.len() as i64, &[]);
        self.data(bytes, Send::LAST | Send::DONE);
        self.end(Outcome::Sent);
        self.mark(|mark, sequence| mark.finish(sequence));
        self.process_gives_ticket();
        self.flush();
    }

    /// As the thread does when it is free again.
    pub fn process_gives_ticket(&self) {
        self.board.process(self.slot).unwrap().give_ticket();
    }

    /// As the thread does before it takes a connection from the queue.
    pub fn process_takes_ticket(&self) {
        assert!(self.board.process(self.slot).unwrap().take_ticket());
    }

    /// Sends what is gathered, in one packet.
    pub fn flush(&mut self) {
        let out = std::mem::take(&mut self.out);
        let _ = self.stream.write_all(&out);
    }

    /// The same with descriptors beside it.
    pub fn flush_with(&mut self, descriptors: &[BorrowedFd<'_>]) {
        let out = std::mem::take(&mut self.out);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(descriptors)));
        let sent = sendmsg(&self.stream, &[IoSlice::new(&out)], &mut ancillary, SendFlags::empty()).unwrap();
        assert_eq!(sent, out.len());
    }
}

pub fn board_mark(board: &Board, slot: u32, connection: u32) -> Mark<'_> {
    board.process(slot).unwrap().mark(connection).unwrap()
}

/// Names and values.
pub type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// What a worker does with a connection.
pub type Script = fn(&mut Session);

/// What a server would have: a client's socket for the body, and a record of what was sent.
pub struct TestExchange {
    input: UnixStream,
    /// The client's end of it; without it the body has ended.
    pub client: Option<UnixStream>,
    pub has_descriptor: bool,
    /// How many bytes of the body there are, after which reading gives the end; a client that leaves before fails.
    pub body_length: usize,
    body_read: usize,
    pub heads: Vec<(Vec<u8>, Fields)>,
    pub sends: Vec<(Vec<u8>, Send)>,
    pub logged: Vec<(Level, String)>,
    pub least_severe: Level,
    pub retry_after: Option<Duration>,
    pub send_timeout: Option<Duration>,
    pub fails_with: Option<FlowError>,
    /// Bytes of a reply after which no more is wanted.
    pub enough: usize,
    pub has_read_with_send_timeout: bool,
    /// Whether the reply is written to the client, which has to take it in time.
    pub writes: bool,
}

impl TestExchange {
    pub fn new() -> Self {
        let (input, client) = UnixStream::pair().unwrap();
        Self {
            input,
            client: Some(client),
            has_descriptor: true,
            body_length: 0,
            body_read: 0,
            heads: Vec::new(),
            sends: Vec::new(),
            logged: Vec::new(),
            least_severe: Level::Info,
            retry_after: None,
            send_timeout: None,
            fails_with: None,
            enough: usize::MAX,
            has_read_with_send_timeout: false,
            writes: false,
        }
    }

    /// With a body that a thread sends at its own pace.
    pub fn with_body(body: Vec<u8>) -> Self {
        let mut exchange = Self::new();
        exchange.body_length = body.len();
        let mut client = exchange.client.take().unwrap();
        std::thread::spawn(move || {
            for piece in body.chunks(100_000) {
                if client.write_all(piece).is_err() {
                    return;
                }
            }
            // Stays open, as a client's connection does that waits for its reply.
            let _ = client.read(&mut [0]);
        });
        exchange
    }

    /// How much of the body has been read.
    pub const fn body_read(&self) -> usize {
        self.body_read
    }

    /// Nothing more is sent to the client, and nothing read from it.
    pub fn hang_up(&self) {
        self.input.shutdown(Shutdown::Both).unwrap();
    }

    pub fn sent(&self) -> Vec<u8> {
        self.sends.iter().flat_map(|(bytes, _)| bytes.iter().copied()).collect()
    }

    pub fn is_complete(&self) -> bool {
        self.sends.iter().filter(|(_, flags)| flags.has(Send::LAST)).count() == 1
    }

    /// Numbers of the messages logged.
    pub fn numbers(&self) -> Vec<&str> {
        self.logged.iter().map(|(_, line)| line.split(':').next().unwrap()).collect()
    }

    fn read_with(&mut self, buffer: &mut [u8], waits: bool) -> Result<Option<usize>, FlowError> {
        let most = buffer.len().min(self.body_length - self.body_read);
        if most == 0 {
            return Ok(Some(0));
        }
        self.has_read_with_send_timeout |= self.send_timeout.is_some();
        self.input.set_nonblocking(!waits).unwrap();
        match self.input.read(&mut buffer[..most]) {
            Ok(0) => Err(FlowError::ClientGone),
            Ok(count) => {
                self.body_read += count;
                Ok(Some(count))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(_) => Err(FlowError::Failed),
        }
    }

    fn add(&mut self, bytes: Vec<u8>, flags: Send) -> Result<(), FlowError> {
        self.fails_with.map_or(Ok(()), Err)?;
        if self.writes {
            self.input.set_nonblocking(false).unwrap();
            self.input.set_write_timeout(Some(self.client_timeout())).unwrap();
            self.input.write_all(&bytes).map_err(|_| FlowError::ClientGone)?;
        }
        self.sends.push((bytes, flags));
        Ok(())
    }
}

impl Exchange for TestExchange {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, FlowError> {
        self.read_with(buffer, true).map(Option::unwrap_or_default)
    }

    fn send_head(&mut self, head: &Head<'_>) -> Result<(), FlowError> {
        let fields = head.headers.iter().map(|field| (field.name.to_vec(), field.value.to_vec()));
        self.heads.push((head.status_line.to_vec(), fields.collect()));
        Ok(())
    }

    fn send(&mut self, blocks: &[Bytes<'_>], flags: Send) -> Result<(), FlowError> {
        self.add(blocks.iter().flat_map(|block| block.iter().copied()).collect(), flags)
    }

    fn send_file(&mut self, descriptor: i32, offset: u64, length: u64, flags: Send) -> Result<(), FlowError> {
        let mut bytes = vec![0; usize::try_from(length).unwrap()];
        let file = std::fs::File::open(format!("/proc/self/fd/{descriptor}")).unwrap();
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, offset).unwrap();
        self.add(bytes, flags)
    }

    fn log(&mut self, level: Level, line: &[u8]) {
        self.logged.push((level, String::from_utf8_lossy(line).into_owned()));
    }

    fn error_text(&mut self) -> String {
        "the client has gone".to_owned()
    }
}

impl ServerExchange for TestExchange {
    fn try_read(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, FlowError> {
        self.read_with(buffer, false)
    }

    fn body_descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.has_descriptor.then(|| self.input.as_fd())
    }

    fn client_timeout(&self) -> Duration {
        Duration::from_secs(2)
    }

    fn wants(&self, level: Level) -> bool {
        level <= self.least_severe
    }

    fn wants_more(&self) -> bool {
        self.sends.iter().map(|(bytes, _)| bytes.len()).sum::<usize>() < self.enough
    }

    fn set_retry_after(&mut self, delay: Duration) {
        self.retry_after = Some(delay);
    }

    fn set_send_timeout(&mut self, limit: Duration) {
        self.send_timeout = Some(limit);
    }
}

/// Numbers that must be seen once each.
#[derive(Clone, Default)]
pub struct Once(Arc<Mutex<HashSet<u64>>>);

impl Once {
    pub fn see(&self, number: u64) {
        assert!(self.0.lock().unwrap().insert(number), "{number} a second time");
    }

    pub fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// A regular file with this text.
pub fn file(text: &str) -> OwnedFd {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.reopen().unwrap().into()
}
