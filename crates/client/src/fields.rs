//! The header fields of a reply, those of one name as one line (RFC 9110 section 5.3), as httpd makes them of any
//! program's. A worker may repeat a name as often as a head has room for; so they are joined here in one piece of memory,
//! before a server does so one by one.

use std::ops::Range;

use oxwsgi_core::request::Field;

/// Fields of which some were joined.
#[derive(Debug)]
pub struct JoinedFields<'f> {
    /// The joined values.
    text: Vec<u8>,
    fields: Vec<(&'f [u8], Value<'f>)>,
}

#[derive(Debug)]
enum Value<'f> {
    Single(&'f [u8]),
    Joined(Range<usize>),
}

impl<'f> JoinedFields<'f> {
    /// Joins values where there are several of one name, in their order; each name stands where it came first. None when
    /// there is nothing to join.
    pub fn new(fields: &'f [Field<'f>]) -> Option<Self> {
        let is_repeated = |index: usize| fields[..index].iter().any(|before| are_one(before, &fields[index]));
        if !(1..fields.len()).any(is_repeated) {
            return None;
        }
        let most = fields.iter().map(|field| field.value.len() + SEPARATOR.len()).sum();
        let mut joined = Self { text: Vec::with_capacity(most), fields: Vec::with_capacity(fields.len()) };
        for (index, field) in fields.iter().enumerate() {
            if !is_repeated(index) {
                joined.add(field, &fields[index + 1..]);
            }
        }
        Some(joined)
    }

    fn add(&mut self, first: &Field<'f>, behind: &[Field<'f>]) {
        let start = self.text.len();
        for other in behind.iter().filter(|other| are_one(first, other)) {
            if self.text.len() == start {
                self.text.extend_from_slice(&first.value);
            }
            self.text.extend_from_slice(SEPARATOR);
            self.text.extend_from_slice(&other.value);
        }
        let end = self.text.len();
        let value =
            if end == start { Value::Single(first.value.as_slice()) } else { Value::Joined(start..end) };
        self.fields.push((first.name.as_slice(), value));
    }

    /// The fields.
    pub fn fields(&self) -> Vec<Field<'_>> {
        let value = |value: &'_ Value<'f>| match value {
            Value::Single(value) => *value,
            Value::Joined(range) => &self.text[range.clone()],
        };
        self.fields.iter().map(|(name, content)| Field::new(name, value(content))).collect()
    }
}

const SEPARATOR: &[u8] = b", ";

/// Whether two fields are one line.
fn are_one(a: &Field<'_>, b: &Field<'_>) -> bool {
    a.name.len() == b.name.len() && a.name.eq_ignore_ascii_case(&b.name) && is_list(&a.name)
}

/// Whether values of this name can be joined. Of those with a place of their own in a server's record (see its adapter)
/// each is looked at by itself, and lists of cookies and challenges have commas inside.
fn is_list(name: &[u8]) -> bool {
    const OTHERS: [&[u8]; 5] =
        [b"set-cookie", b"www-authenticate", b"content-type", b"content-length", b"transfer-encoding"];
    !OTHERS.iter().any(|other| name.eq_ignore_ascii_case(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(fields: &[(&str, &str)]) -> Option<Vec<(String, String)>> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let fields: Vec<_> =
            fields.iter().map(|(name, value)| Field::new(name.as_bytes(), value.as_bytes())).collect();
        let joined = JoinedFields::new(&fields)?;
        Some(joined.fields().iter().map(|field| (text(&field.name), text(&field.value))).collect())
    }

    #[test]
    fn fields_of_one_name_become_one() {
        let fields =
            [("Vary", "a"), ("X", "1"), ("vary", "b"), ("Y", ""), ("VARY", ""), ("x", "2"), ("Z", "z")];
        let expected = [("Vary", "a, b, "), ("X", "1, 2"), ("Y", ""), ("Z", "z")];
        assert_eq!(joined(&fields).unwrap(), expected.map(|(name, value)| (name.into(), value.into())));
    }

    #[test]
    fn most_heads_have_nothing_to_join() {
        assert_eq!(joined(&[]), None);
        assert_eq!(joined(&[("A", "1"), ("AB", "1"), ("B", "1")]), None);
    }

    #[test]
    fn what_is_no_list_stays_apart() {
        let fields = ["Set-Cookie", "WWW-Authenticate", "Content-Type"];
        for name in fields {
            let fields = [(name, "a"), (name, "b")];
            assert_eq!(joined(&fields), None, "{name}");
            let fields = [("L", "1"), (name, "a"), ("l", "2"), (name, "b")];
            let expected = [("L", "1, 2"), (name, "a"), (name, "b")];
            assert_eq!(joined(&fields).unwrap(), expected.map(|(name, value)| (name.into(), value.into())));
        }
    }

    #[test]
    fn joining_takes_no_more_memory_than_there_is_text() {
        let value = [b'v'; 200];
        let fields = vec![Field::new(b"a", &value); 512];
        let joined = JoinedFields::new(&fields).unwrap();
        assert!(joined.text.capacity() <= 512 * 202 + 64, "{}", joined.text.capacity());
        assert_eq!(joined.fields()[0].value.len(), 512 * 200 + 511 * 2);
    }
}
