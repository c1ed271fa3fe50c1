//! What a header block says, field by field, and what request that makes.

use crate::recognise::{Codings, Ranges, Request, Unrecognised};

/// A field's name, as far as it decides what is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// Any.
    Unknown,
    /// One that decides nothing.
    Other,
    Method,
    Path,
    Authority,
    /// Another one that begins with a colon.
    Pseudo,
    Host,
    Range,
    /// `accept-encoding`.
    Codings,
    /// The bytes are asked for only if the file has changed, or not.
    Condition,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Head,
    Other,
}

/// A field's value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Value {
    #[default]
    Unknown,
    /// It decides nothing.
    Other,
    Method(Method),
    /// Whether the path may be predicted for: then it stands in the request.
    Path(bool),
    Host(u64),
    Range(Ranges),
    Codings(Codings),
}

/// What a head says of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Said<T> {
    #[default]
    Nothing,
    Unknown,
    Known(T),
}

/// What came of a header block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Request,
    NotUnderstood(Unrecognised),
    /// It is none of a request.
    Trailers,
    /// It is a request's, or trailers: all that could tell is unknown.
    Either,
}

/// What a header block says so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Head {
    method: Said<Method>,
    path: Said<bool>,
    authority: Said<u64>,
    host: Said<u64>,
    codings: Said<Codings>,
    has_pseudo: bool,
    has_unknown: bool,
    /// Servers refuse it, or differ in what they make of it.
    is_refused: bool,
}

impl<T> Said<T> {
    fn is_said(&self) -> bool {
        !matches!(self, Said::Nothing)
    }
}

impl Head {
    /// The next field. What it says is put into `request`, where a path stands already.
    pub(super) fn take(&mut self, name: Name, value: Value, request: &mut Request) {
        match (name, value) {
            (Name::Unknown, _) => self.has_unknown = true,
            (Name::Other, _) => {}
            (Name::Pseudo, _) => self.has_pseudo = true,
            (Name::Method, value) => {
                let said = match value {
                    Value::Method(method) => Said::Known(method),
                    _ => Said::Unknown,
                };
                self.is_refused |= self.method.is_said();
                (self.method, self.has_pseudo) = (said, true);
            }
            (Name::Path, value) => {
                let said = match value {
                    Value::Path(is_good) => Said::Known(is_good),
                    _ => Said::Unknown,
                };
                self.is_refused |= self.path.is_said();
                (self.path, self.has_pseudo) = (said, true);
            }
            (Name::Authority, value) => {
                self.is_refused |= self.authority.is_said();
                (self.authority, self.has_pseudo) = (host(value), true);
            }
            (Name::Host, value) => {
                let said = host(value);
                self.is_refused |= self.host.is_said() && self.host != said;
                self.host = said;
            }
            (Name::Range, Value::Range(ranges)) => request.ranges = ranges,
            (Name::Range, _) => request.ranges = Ranges::default(),
            (Name::Codings, value) => {
                self.codings = match (self.codings, value) {
                    (Said::Nothing, Value::Codings(codings)) => Said::Known(codings),
                    (Said::Known(other), Value::Codings(codings)) => {
                        Said::Known(codings.and(other))
                    }
                    _ => Said::Unknown,
                };
            }
            (Name::Condition, _) => request.conditional = true,
        }
    }

    /// The block is complete.
    ///
    /// A field of which even the name is unknown may be a range or a condition: the request is understood all the same,
    /// as one without. For too much is read then at the worst, and too little otherwise.
    pub(super) fn finish(&self, request: &mut Request) -> Outcome {
        if !self.has_pseudo {
            return match self.has_unknown {
                true => Outcome::Either,
                false => Outcome::Trailers,
            };
        }
        let foreign = Outcome::NotUnderstood(Unrecognised::Foreign);
        let refused = Outcome::NotUnderstood(Unrecognised::Refused);
        request.wants_body = match self.method {
            Said::Known(Method::Get) => true,
            Said::Known(Method::Head) => false,
            _ => return foreign,
        };
        match self.path {
            _ if self.is_refused => return refused,
            Said::Known(true) => {}
            Said::Known(false) => return refused,
            _ => return foreign,
        }
        request.host = match (self.authority, self.host) {
            // Servers that do not refuse two names differ in which they take.
            (Said::Known(name), Said::Known(other)) if name != other => return refused,
            (Said::Known(name), _) => name,
            (Said::Nothing, Said::Known(name)) if !self.has_unknown => name,
            _ => 0,
        };
        if request.host == 0 {
            request.text.has_no_host();
        }
        request.codings = match self.codings {
            Said::Known(codings) => codings,
            Said::Nothing if !self.has_unknown => Codings::default(),
            _ => Codings::UNKNOWN,
        };
        request.has_body = false;
        Outcome::Request
    }
}

/// Whether a byte of a target does not begin its query.
pub(super) fn is_of_path(byte: &u8) -> bool {
    !matches!(byte, b'?' | b'#')
}

fn host(value: Value) -> Said<u64> {
    match value {
        Value::Host(hash) => Said::Known(hash),
        _ => Said::Unknown,
    }
}
