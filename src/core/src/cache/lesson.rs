//! What a key teaches: laid beside a request, part by part.

use super::template::{hash_name, method, scheme, Part, Template};
use crate::recognise::Request;

/// A shorter host may stand anywhere by chance.
const LEAST_HOST: usize = 3;

/// A shorter end of a target may, too.
const LEAST_TAIL: usize = 3;

/// Lays a key beside a request, and makes the template by which it is the request's: how many bytes of the target are in it, or
/// nothing where they have nothing to do with each other.
pub(super) fn lesson(key: &[u8], request: &Request, template: &mut Template) -> Option<usize> {
    let text = &request.text;
    let target = text.target()?;
    let (path, query) = text.path_and_query()?;
    let decoded = request.target.as_slice();
    let forms = [
        (Part::Target, target),
        (Part::Path, path),
        (Part::DecodedPath, decoded),
    ];
    let whole = forms
        .iter()
        .find_map(|(part, form)| Some((*part, place_of(form, key)?, form.len(), 0)));
    // A part of the target is replaced by another one (`proxy_pass http://backend/other/`).
    let tail_of = |(part, form): &(Part, &[u8])| {
        let tail = common_tail(form, key).filter(|tail| *tail >= LEAST_TAIL)?;
        Some((*part, key.len() - tail, tail, form.len() - tail))
    };
    let (part, at, length, left_out) = whole.or_else(|| forms.iter().find_map(tail_of))?;
    let form = match part {
        Part::Path => path,
        Part::DecodedPath => decoded,
        _ => target,
    };
    template.begin(form.get(..left_out)?)?;
    let unsaid = match part {
        Part::Target => b"",
        _ => query,
    };
    take_apart(template, key.get(..at)?, request, b"")?;
    template.push(part)?;
    take_apart(template, key.get(at + length..)?, request, unsaid)?;
    Some(length)
}

/// Where a form of the target stands in a key: the last place, and as a whole. A lone slash stands in nearly all.
fn place_of(form: &[u8], key: &[u8]) -> Option<usize> {
    let at = memchr::memmem::rfind(key, form)?;
    let goes_on = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-~%".contains(byte);
    let next = key.get(at + form.len());
    let is_end = next.is_none();
    (is_end || form.len() > 1 && !next.is_some_and(goes_on)).then_some(at)
}

/// Length of the longest common tail of both that begins with a slash.
fn common_tail(one: &[u8], other: &[u8]) -> Option<usize> {
    let pairs = one.iter().rev().zip(other.iter().rev());
    let same = pairs.take_while(|(a, b)| a == b).count();
    let tail = &one[one.len() - same..];
    memchr::memchr(b'/', tail).map(|slash| tail.len() - slash)
}

/// Finds what else of a request stands in a piece of its key; `query` is what of the target was not found yet.
fn take_apart(
    template: &mut Template,
    piece: &[u8],
    request: &Request,
    query: &[u8],
) -> Option<()> {
    let text = &request.text;
    let host = text.host().unwrap_or_default();
    let host_and_port = text.host_and_port().unwrap_or_default();
    let arguments = query.get(1..).unwrap_or_default();
    let fields = [
        (Part::Query, query, 2),
        (Part::Arguments, arguments, 2),
        // Of two that are the same the one that most configurations name.
        (Part::Host, &host, LEAST_HOST),
        (Part::HostAndPort, host_and_port, LEAST_HOST),
        (Part::Method, method(request), 1),
    ];
    let mut at = 0;
    if template.parts().is_empty() && begins_with_scheme(piece, request, &[&host, host_and_port]) {
        template.push(Part::Scheme)?;
        at = scheme(request).len();
    }
    while let Some(rest) = piece.get(at..).filter(|rest| !rest.is_empty()) {
        let fits = |(_, value, least): &&(Part, &[u8], usize)| {
            value.len() >= *least && rest.starts_with(value)
        };
        // The longest; of two the first.
        let field = fields
            .iter()
            .rev()
            .filter(fits)
            .max_by_key(|(_, value, _)| value.len());
        match field {
            Some((part, value, _)) => {
                template.push(*part)?;
                at += value.len();
            }
            None => {
                template.push_literal(&rest[..1])?;
                at += 1;
            }
        }
    }
    Some(())
}

/// Whether a key begins with the scheme of its request. In `http://` it may be the backend's, unless the host follows.
fn begins_with_scheme(piece: &[u8], request: &Request, hosts: &[&[u8]]) -> bool {
    let Some(rest) = piece.strip_prefix(scheme(request)) else {
        return false;
    };
    match rest.strip_prefix(b"://") {
        Some(rest) => {
            let follows = |host: &&&[u8]| host.len() >= LEAST_HOST && rest.starts_with(host);
            hosts.iter().any(|host| follows(&host))
        }
        None => !rest.starts_with(b"s"),
    }
}

/// Where `known` differs from the `new` template in one literal only: the same with the header, cookie or argument that
/// explains the difference.
pub(super) fn by_header(
    known: &Template,
    new: &Template,
    request: &Request,
    template: &mut Template,
) -> Option<()> {
    if known.prefix != new.prefix || known.parts().len() != new.parts().len() {
        return None;
    }
    let mut different = None;
    for (place, (one, other)) in known.parts().iter().zip(new.parts()).enumerate() {
        match (*one, *other) {
            (Part::Literal(start, end), Part::Literal(from, to)) => {
                let (old, literal) = (known.literal(start, end), new.literal(from, to));
                if old != literal && different.replace((place, old, literal)).is_some() {
                    return None;
                }
            }
            (one, other) if one == other => {}
            _ => return None,
        }
    }
    let (place, old, literal) = different?;
    let same = |(one, other): &(&u8, &u8)| one == other;
    let before = old.iter().zip(literal).take_while(same).count();
    let room = old.len().min(literal.len()) - before;
    let pairs = old.iter().rev().zip(literal.iter().rev());
    let behind = pairs.take(room).take_while(same).count();
    let (part, start, end) = explains(request, literal, before, literal.len() - behind)?;
    template.begin(&new.prefix)?;
    for (number, other) in new.parts().iter().enumerate() {
        if number == place {
            template.push_literal(&literal[..start])?;
            template.push(part)?;
            template.push_literal(&literal[end..])?;
        } else {
            template.push_of(new, *other)?;
        }
    }
    Some(())
}

/// A header, cookie or argument whose value stands in a literal where it covers this range of it.
fn explains(
    request: &Request,
    literal: &[u8],
    start: usize,
    end: usize,
) -> Option<(Part, usize, usize)> {
    let text = &request.text;
    let covers = |value: &[u8]| {
        let places = memchr::memmem::find_iter(literal, value);
        let place = places
            .into_iter()
            .find(|at| *at <= start && end <= at + value.len());
        place
            .filter(|_| !value.is_empty())
            .map(|at| (at, at + value.len()))
    };
    let cookies = text.cookies().into_iter().flatten();
    let cookies = cookies.map(|(name, value)| (Part::Cookie(hash_name(name)), value));
    let arguments = text.arguments().into_iter().flatten();
    let arguments = arguments.map(|(name, value)| (Part::Argument(hash_name(name)), value));
    let headers = text.headers().into_iter().flatten();
    let headers = headers.map(|(name, value)| (Part::Header(hash_name(name)), value));
    cookies
        .chain(arguments)
        .chain(headers)
        .find_map(|(part, value)| covers(value).map(|(start, end)| (part, start, end)))
}
