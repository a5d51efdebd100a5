//! A request on one connection: what has come of its reply, and how it is going.

use std::io;

use oxwsgi_client::connection::Connection;
use oxwsgi_client::reply::{Fault, Reply, Step};
use oxwsgi_client::{ClientSettings, ReplySink};
use oxwsgi_core::wire::ReplyFrame;

use super::link::Link;

/// A request on one connection.
#[derive(Debug)]
pub struct Attempt {
    /// The connection.
    pub connection: Connection<Link>,
    /// The ticket taken for it is the worker's to give back once it has seen the request.
    pub has_ticket: bool,
    /// The connection has been made.
    pub is_connected: bool,
    /// What has come.
    pub reply: Reply,
    /// The beginning of a frame.
    pub carry: Vec<u8>,
    /// How it is going.
    pub state: State,
    /// The worker seemed to have ended when it was looked at last.
    pub seems_ended: bool,
    /// Why nothing more can be read. What has been read may still be on its way through nginx's buffers, and counts.
    pub lost: Option<Lost>,
}

/// How an attempt is going.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// More may come.
    Open,
    /// The worker has closed the connection; what has become of it is being found out.
    Ending,
    /// Nothing more will come of it.
    Stopped,
    /// Its `END` has come, and nothing behind it or something.
    Ended {
        /// Nothing has come behind it.
        is_clean: bool,
    },
}

/// Why no more can be read.
#[derive(Debug)]
pub enum Lost {
    /// The worker has closed the connection.
    Closed,
    /// The system's reason.
    Unreadable(io::Error),
}

impl Attempt {
    /// That on a connection, of which nothing has come.
    pub fn new(mut connection: Connection<Link>, has_ticket: bool, settings: &ClientSettings) -> Self {
        connection.sequence += 1;
        let reply = Reply::new(connection.hello, settings);
        let is_connected = has_ticket;
        Self {
            connection,
            has_ticket,
            is_connected,
            reply,
            carry: Vec::new(),
            state: State::Open,
            seems_ended: false,
            lost: None,
        }
    }

    /// Takes frames, and keeps the beginning of one.
    pub fn feed<S: ReplySink>(&mut self, mut bytes: &[u8], sink: &mut S) -> Result<Step, Fault> {
        while !self.carry.is_empty() {
            let missing = ReplyFrame::needed(&self.carry).saturating_sub(self.carry.len());
            let (piece, rest) = bytes.split_at(missing.min(bytes.len()));
            self.carry.extend_from_slice(piece);
            bytes = rest;
            let needed = ReplyFrame::needed(&self.carry);
            if needed > self.carry.len() {
                // With its header the whole length of the frame shows.
                if bytes.is_empty() {
                    return Ok(Step::More { taken: 0, needed });
                }
                continue;
            }
            let carry = std::mem::take(&mut self.carry);
            let step = self.reply.take(&carry, sink);
            self.connection.hello = self.reply.hello;
            match step? {
                Step::More { .. } => {}
                Step::End(outcome) if !bytes.is_empty() => return Ok(Step::EndAndMore(outcome)),
                step => return Ok(step),
            }
        }
        let step = self.reply.take(bytes, sink)?;
        if let Step::More { taken, .. } = step {
            self.carry.extend_from_slice(&bytes[taken..]);
        }
        Ok(step)
    }
}
