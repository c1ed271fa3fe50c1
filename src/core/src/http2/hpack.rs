//! Header blocks (RFC 7541, 6), of which only the fields that decide what is asked for are decoded.

use super::head::{is_of_path, Head, Method, Name, Value};
use super::huffman;
use super::table::Table;
use crate::recognise::{decode_target_of, hash_host, is_condition, Codings, Ranges, Request};
use arrayvec::ArrayVec;

/// Entries of the static table (RFC 7541, appendix A).
const STATIC: usize = 61;

/// The longest name that decides something.
const MAX_NAME: usize = "if-unmodified-since".len();

/// Bytes of a value that is decoded into a buffer; of a host name more are none (see [`hash_host`]), and of ranges nobody asks
/// for so many.
const MAX_VALUE: usize = 320;

/// The block breaks the rules: nothing behind it on its connection means anything to the server either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// A string (RFC 7541, 5.2).
#[derive(Clone, Copy, Debug)]
enum Text<'a> {
    Plain(&'a [u8]),
    Coded(&'a [u8]),
}

/// Reads a whole block. What it says is put into `request`, and the `table` is as it is behind it.
pub(super) fn decode(
    block: &[u8],
    table: &mut Table,
    request: &mut Request,
) -> Result<Head, Broken> {
    let mut head = Head::default();
    request.text.clear();
    (request.ranges, request.conditional) = (Ranges::default(), false);
    let (mut rest, mut is_first) = (block, true);
    while let Some(&first) = rest.first() {
        if first & 0xe0 == 0x20 {
            // A new size stands before the first field (RFC 7541, 4.2). It may empty the table.
            match integer(&mut rest, 5)? {
                _ if !is_first => return Err(Broken),
                0 => table.forget(),
                _ => {}
            }
            continue;
        }
        is_first = false;
        if first & 0x80 != 0 {
            let index = integer(&mut rest, 7)?;
            let (name, value) = indexed(index, table, request)?;
            head.take(name, value, request);
            continue;
        }
        let is_added = first & 0x40 != 0;
        let name = match integer(&mut rest, if is_added { 6 } else { 4 })? {
            0 => text(&mut rest)?.name()?,
            index @ 1..=STATIC => static_name(index),
            index => table.name(index - STATIC - 1),
        };
        let value = text(&mut rest)?.value(name, request)?;
        head.take(name, value, request);
        if is_added {
            table.add(name, value, request);
        }
    }
    Ok(head)
}

/// An integer behind a prefix of so many bits (RFC 7541, 5.1). One that does not fit in 32 bits breaks the rules.
fn integer(rest: &mut &[u8], prefix: u32) -> Result<usize, Broken> {
    let (first, mut behind) = rest.split_first().ok_or(Broken)?;
    let mask = (1 << prefix) - 1;
    let mut value = u64::from(first & mask);
    if value == u64::from(mask) {
        let mut shift = 0;
        loop {
            let (byte, next) = behind.split_first().ok_or(Broken)?;
            behind = next;
            if shift > 28 {
                return Err(Broken);
            }
            value += u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    *rest = behind;
    u32::try_from(value)
        .map(|value| value as usize)
        .map_err(|_| Broken)
}

fn text<'a>(rest: &mut &'a [u8]) -> Result<Text<'a>, Broken> {
    let is_coded = rest.first().is_some_and(|first| first & 0x80 != 0);
    let length = integer(rest, 7)?;
    let (string, behind) = rest.split_at_checked(length).ok_or(Broken)?;
    *rest = behind;
    Ok(match is_coded {
        true => Text::Coded(string),
        false => Text::Plain(string),
    })
}

/// The field with this index in both tables (RFC 7541, 2.3.3).
fn indexed(index: usize, table: &Table, request: &mut Request) -> Result<(Name, Value), Broken> {
    let value = match index {
        0 => return Err(Broken),
        2 => Value::Method(Method::Get),
        3 => Value::Method(Method::Other),
        4 => Text::Plain(b"/").path(request)?,
        5 => Text::Plain(b"/index.html").path(request)?,
        // All others that decide something have no value.
        1 | 38 => Value::Host(hash_host(b"")),
        16 => Value::Codings(Codings::of(b"gzip, deflate")),
        50 => Value::Range(Ranges::default()),
        1..=STATIC => Value::Other,
        _ => return Ok(table.get(index - STATIC - 1, request)),
    };
    Ok((static_name(index), value))
}

/// The name with this index in the static table.
fn static_name(index: usize) -> Name {
    match index {
        1 => Name::Authority,
        2 | 3 => Name::Method,
        4 | 5 => Name::Path,
        6..=14 => Name::Pseudo,
        16 => Name::Codings,
        38 => Name::Host,
        39..=41 | 43 => Name::Condition,
        50 => Name::Range,
        _ => Name::Other,
    }
}

impl Text<'_> {
    fn name(self) -> Result<Name, Broken> {
        let mut buffer = ArrayVec::<u8, MAX_NAME>::new();
        let name = match self {
            Text::Plain(name) => name,
            // No byte of a name that decides something takes more than eight bits.
            Text::Coded(name) if name.len() > MAX_NAME => return Ok(Name::Other),
            Text::Coded(name) => match decode_into(name, &mut buffer)? {
                true => &buffer,
                false => return Ok(Name::Other),
            },
        };
        Ok(match name {
            b":method" => Name::Method,
            b":path" => Name::Path,
            b":authority" => Name::Authority,
            [b':', ..] => Name::Pseudo,
            b"host" => Name::Host,
            b"range" => Name::Range,
            b"accept-encoding" => Name::Codings,
            name if is_condition(name) => Name::Condition,
            _ => Name::Other,
        })
    }

    /// What it says as the value of a field.
    fn value(self, name: Name, request: &mut Request) -> Result<Value, Broken> {
        match name {
            Name::Unknown => Ok(Value::Unknown),
            Name::Other | Name::Pseudo | Name::Condition => Ok(Value::Other),
            Name::Path => self.path(request),
            Name::Method => self.short(|method| {
                Value::Method(match method {
                    Some(b"GET") => Method::Get,
                    Some(b"HEAD") => Method::Head,
                    _ => Method::Other,
                })
            }),
            Name::Authority | Name::Host => self.short(|name| {
                request.text.set_host(name.unwrap_or_default());
                Value::Host(name.map_or(0, hash_host))
            }),
            Name::Range => {
                self.short(|value| Value::Range(value.map_or(Ranges::default(), Ranges::of)))
            }
            Name::Codings => {
                self.short(|value| Value::Codings(value.map_or(Codings::UNKNOWN, Codings::of)))
            }
        }
    }

    /// Puts a path into the request, as it is and decoded without its query.
    fn path(self, request: &mut Request) -> Result<Value, Broken> {
        let Request { text, target, .. } = request;
        match self {
            Text::Plain(path) => text.set_target(path.iter().copied()),
            Text::Coded(path) => text.set_target(huffman::Bytes::new(path)),
        }
        let decoded = match (text.target(), self) {
            (Some(path), _) | (None, Text::Plain(path)) => {
                decode_target_of(path.iter().copied().take_while(is_of_path), target)
            }
            (None, Text::Coded(path)) => {
                decode_target_of(huffman::Bytes::new(path).take_while(is_of_path), target)
            }
        };
        match self {
            // A wrong code ends with a zero, which is refused.
            Text::Coded(path) if decoded.is_err() => {
                let mut bytes = huffman::Bytes::new(path);
                bytes.by_ref().for_each(drop);
                match bytes.is_broken() {
                    true => Err(Broken),
                    false => Ok(Value::Path(false)),
                }
            }
            _ => Ok(Value::Path(decoded.is_ok())),
        }
    }

    /// What a value says, where it is short; nothing is told of a long one.
    fn short(self, says: impl FnOnce(Option<&[u8]>) -> Value) -> Result<Value, Broken> {
        let mut buffer = ArrayVec::<u8, MAX_VALUE>::new();
        match self {
            Text::Plain(value) if value.len() > MAX_VALUE => Ok(says(None)),
            Text::Plain(value) => Ok(says(Some(value))),
            Text::Coded(value) => match decode_into(value, &mut buffer)? {
                true => Ok(says(Some(&buffer))),
                false => Ok(says(None)),
            },
        }
    }
}

/// Whether the whole of a string has room.
fn decode_into<const ROOM: usize>(
    string: &[u8],
    buffer: &mut ArrayVec<u8, ROOM>,
) -> Result<bool, Broken> {
    let mut bytes = huffman::Bytes::new(string);
    for byte in bytes.by_ref() {
        if buffer.try_push(byte).is_err() {
            return Ok(false);
        }
    }
    match bytes.is_broken() {
        true => Err(Broken),
        false => Ok(true),
    }
}
