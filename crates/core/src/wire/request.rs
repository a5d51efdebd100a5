//! A request on its way to the worker: what [`RequestView`] borrows from the server, borrowed from the frame instead.

use super::field::{Reader, Write};
use super::frame::{FrameHeader, HEADER, Kind, WireError, framed};
use crate::borrowed::Slice;
use crate::request::{
    Authorization, BodyLength, ExtraVariable, Field, RequestView, ScriptKind, Target, Variable, Variables,
};

/// The last number that a request can have, on its connection or on the [mark](crate::daemon::board::Mark) of that; a
/// connection that has reached it is closed.
pub const LAST_SEQUENCE: u32 = (1 << 30) - 2;

/// The longest request frame, in bytes: httpd's limits allow less, unless they were raised.
pub const LONGEST_REQUEST: usize = 4 << 20;

/// More fields than this are refused before memory is set aside for them.
const MOST_FIELDS: u32 = 65_536;

const SCRIPT_RELOADING: u8 = 1;
const HTTPS: u8 = 2;
const HEAD: u8 = 4;
const CONTENT_FILTERS: u8 = 8;
const IGNORE_ACTIVITY: u8 = 16;
const MODULE: u8 = 32;
const FACTORY: u8 = 64;
const FILES_AS_DATA: u8 = 128;

/// The part of a body that comes with its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inline<'a> {
    /// None of it: the worker asks for it with `READ`.
    Nothing,
    /// All of it.
    All(&'a [u8]),
}

/// A request as the worker finds it in a frame, but for its slices of fields.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// Its number on this connection, from 1.
    pub sequence: u32,
    /// Its body, or none.
    pub inline: Inline<'a>,
}

/// A request in a frame.
#[derive(Debug)]
pub struct DecodedRequest<'a> {
    /// What is for the worker itself.
    pub head: RequestHead<'a>,
    view: RequestView<'a>,
    headers: Vec<Field<'a>>,
    extra: Vec<ExtraVariable<'a>>,
}

impl<'a> DecodedRequest<'a> {
    /// Reads the payload of a `REQUEST` frame.
    pub fn decode(payload: &'a [u8]) -> Result<Self, WireError> {
        decode(Reader(payload)).ok_or(WireError::Contents(Kind::Request))
    }

    /// The request. `daemon_start` is 0; the worker sets it.
    pub fn view(&self) -> RequestView<'_> {
        RequestView { headers: (&*self.headers).into(), extra: (&*self.extra).into(), ..self.view }
    }
}

/// The length of the request frame at the start of `bytes`, header and payload; none when they are too few to tell.
pub(super) fn check_header(bytes: &[u8]) -> Result<Option<FrameHeader>, WireError> {
    match FrameHeader::decode(bytes)? {
        Some(header) if header.kind == Kind::Request => header.at_most(LONGEST_REQUEST).map(Some),
        Some(header) => Err(WireError::Place(header.kind)),
        None => Ok(None),
    }
}

impl RequestHead<'_> {
    /// The header of the request frame at the start of `bytes`; none when they are too few to tell.
    pub fn frame(bytes: &[u8]) -> Result<Option<FrameHeader>, WireError> {
        check_header(bytes)
    }
}

/// Appends the frame of a request.
pub fn encode_request(out: &mut Vec<u8>, view: &RequestView<'_>, sequence: u32, inline: Inline<'_>) {
    framed(out, Kind::Request, 0, |out| {
        out.u32(sequence);
        out.i64(view.request_start);
        out.i64(view.queue_start);
        out.u8(view.authorization as u8);
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        out.u8(flag(view.target.script_reloading, SCRIPT_RELOADING)
            | flag(view.target.ignore_activity, IGNORE_ACTIVITY)
            | flag(view.target.script_kind == ScriptKind::Module, MODULE)
            | flag(view.target.factory, FACTORY)
            | flag(view.https, HTTPS)
            | flag(view.head, HEAD)
            | flag(view.content_filters, CONTENT_FILTERS)
            | flag(view.files_as_data, FILES_AS_DATA));
        let (kind, length) = match view.body {
            BodyLength::None => (0, 0),
            BodyLength::Bytes(length) => (1, length),
            BodyLength::UntilEnd => (2, 0),
        };
        out.u8(kind);
        out.u64(length);
        let target = &view.target;
        out.i64(target.script_mtime);
        for text in
            [target.process_group, target.application_group, target.script, target.callable, target.resource]
        {
            out.bytes(&text);
        }
        // Most are there, so a length each is shorter than a number each.
        out.u8(Variable::COUNT as u8);
        for variable in Variable::ALL {
            out.maybe_bytes(view.variables.get(*variable));
        }
        out.u32(view.headers.len() as u32);
        for field in view.headers.iter() {
            out.bytes(&field.name);
            out.bytes(&field.value);
        }
        out.u32(view.extra.len() as u32);
        for extra in view.extra.iter() {
            out.bytes(&extra.name);
            out.maybe_bytes(extra.value.get());
        }
        match inline {
            Inline::Nothing => out.maybe_bytes(None),
            Inline::All(body) => out.bytes(body),
        }
    });
}

/// Changes the number of the request in a frame, which starts with the frame's header, for another connection.
pub fn set_sequence(frame: &mut [u8], sequence: u32) {
    if let Some(place) = frame.get_mut(HEADER..HEADER + size_of::<u32>()) {
        place.copy_from_slice(&sequence.to_le_bytes());
    }
}

fn decode(mut reader: Reader<'_>) -> Option<DecodedRequest<'_>> {
    let sequence = reader.u32().filter(|sequence| (1..=LAST_SEQUENCE).contains(sequence))?;
    let (request_start, queue_start) = (reader.i64()?, reader.i64()?);
    let authorization = match reader.u8()? {
        0 => Authorization::Hidden,
        1 => Authorization::Passed,
        2 => Authorization::AllPassed,
        _ => return None,
    };
    let flags = reader.u8()?;
    let body = match (reader.u8()?, reader.u64()?) {
        (0, _) => BodyLength::None,
        (1, length) => BodyLength::Bytes(length),
        (2, _) => BodyLength::UntilEnd,
        _ => return None,
    };
    let script_mtime = reader.i64()?;
    let target = Target {
        process_group: reader.bytes()?.into(),
        application_group: reader.bytes()?.into(),
        script: reader.bytes()?.into(),
        script_kind: if flags & MODULE == 0 { ScriptKind::File } else { ScriptKind::Module },
        callable: reader.bytes()?.into(),
        factory: flags & FACTORY != 0,
        resource: reader.bytes()?.into(),
        script_mtime,
        script_reloading: flags & SCRIPT_RELOADING != 0,
        ignore_activity: flags & IGNORE_ACTIVITY != 0,
    };
    if usize::from(reader.u8()?) != Variable::COUNT {
        return None;
    }
    let mut variables = Variables::EMPTY;
    for variable in Variable::ALL {
        variables.set(*variable, reader.maybe_bytes()?);
    }
    let headers = fields(&mut reader, |reader| Some(Field::new(reader.bytes()?, reader.bytes()?)))?;
    let extra = fields(&mut reader, |reader| {
        Some(ExtraVariable { name: reader.bytes()?.into(), value: reader.maybe_bytes()?.into() })
    })?;
    let inline = reader.maybe_bytes()?.map_or(Inline::Nothing, Inline::All);
    let view = RequestView {
        variables,
        headers: Slice::EMPTY,
        extra: Slice::EMPTY,
        target,
        body,
        authorization,
        https: flags & HTTPS != 0,
        head: flags & HEAD != 0,
        content_filters: flags & CONTENT_FILTERS != 0,
        files_as_data: flags & FILES_AS_DATA != 0,
        request_start,
        queue_start,
        daemon_start: 0,
    };
    reader.0.is_empty().then_some(DecodedRequest {
        head: RequestHead { sequence, inline },
        view,
        headers,
        extra,
    })
}

fn fields<'a, T>(
    reader: &mut Reader<'a>,
    mut field: impl FnMut(&mut Reader<'a>) -> Option<T>,
) -> Option<Vec<T>> {
    // Each takes eight bytes at least, so a count beyond that is a lie that would cost memory.
    let count =
        reader.u32().filter(|count| *count <= MOST_FIELDS && *count as usize <= reader.0.len() / 8)?;
    let mut fields = Vec::with_capacity(count as usize);
    for _ in 0..count {
        fields.push(field(reader)?);
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(inline: Inline<'_>) -> Vec<u8> {
        let mut variables = Variables::EMPTY;
        variables.set(Variable::PathInfo, &b"/x"[..]);
        variables.set(Variable::QueryString, &b""[..]);
        let headers = [Field::new(b"Host", b"a"), Field::new(b"X", b"")];
        let extra = [ExtraVariable { name: b"E"[..].into(), value: None.into() }];
        let view = RequestView {
            variables,
            headers: (&headers[..]).into(),
            extra: (&extra[..]).into(),
            target: Target {
                application_group: b"g"[..].into(),
                script: b"/s.wsgi"[..].into(),
                script_mtime: -1,
                script_reloading: true,
                ..Target::default()
            },
            body: BodyLength::Bytes(7),
            authorization: Authorization::AllPassed,
            https: true,
            head: false,
            content_filters: true,
            files_as_data: true,
            request_start: 1,
            queue_start: 2,
            daemon_start: 3,
        };
        let mut out = Vec::new();
        encode_request(&mut out, &view, 5, inline);
        out
    }

    #[test]
    fn a_request_comes_back() {
        let bytes = encoded(Inline::All(b"body"));
        let header = RequestHead::frame(&bytes).unwrap().unwrap();
        assert_eq!(bytes.len(), super::super::HEADER + header.length);
        let request = DecodedRequest::decode(&bytes[super::super::HEADER..]).unwrap();
        assert_eq!((request.head.sequence, request.head.inline), (5, Inline::All(b"body")));
        let view = request.view();
        assert_eq!(view.variables.get(Variable::PathInfo), Some(&b"/x"[..]));
        assert_eq!(view.variables.get(Variable::QueryString), Some(&b""[..]));
        assert_eq!(view.variables.get(Variable::RemoteUser), None);
        let headers: Vec<_> = view.headers.iter().map(|field| (&*field.name, &*field.value)).collect();
        assert_eq!(headers, [(&b"Host"[..], &b"a"[..]), (b"X", b"")]);
        assert_eq!((&*view.extra[0].name, view.extra[0].value.get()), (&b"E"[..], None));
        assert_eq!((&*view.target.script, view.target.script_mtime), (&b"/s.wsgi"[..], -1));
        assert!(view.target.script_reloading && view.https && !view.head && view.content_filters);
        assert!(view.files_as_data);
        assert_eq!((view.body, view.authorization), (BodyLength::Bytes(7), Authorization::AllPassed));
        assert_eq!((view.request_start, view.queue_start, view.daemon_start), (1, 2, 0));
    }

    #[test]
    fn a_request_gets_another_number() {
        let mut bytes = encoded(Inline::Nothing);
        set_sequence(&mut bytes, 77);
        assert_eq!(DecodedRequest::decode(&bytes[super::super::HEADER..]).unwrap().head.sequence, 77);
    }

    #[test]
    fn every_truncation_is_refused() {
        let bytes = encoded(Inline::Nothing);
        let payload = &bytes[super::super::HEADER..];
        assert_eq!(DecodedRequest::decode(payload).unwrap().head.inline, Inline::Nothing);
        for length in 0..payload.len() {
            assert!(DecodedRequest::decode(&payload[..length]).is_err(), "{length} bytes");
        }
        let longer = [payload, b"x"].concat();
        assert!(DecodedRequest::decode(&longer).is_err());
    }
}
