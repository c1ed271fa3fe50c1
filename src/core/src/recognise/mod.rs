//! From bytes at hand to requests.
//!
//! A recogniser looks at what a client has sent, never at what the server makes of it, and it only
//! ever *guesses*: bytes that it does not understand are nobody's request and pass through.

mod answer;
mod body;
mod codings;
mod http;
mod line;
mod proxied;
mod ranges;
mod request;
mod text;

pub use answer::Answer;
pub use body::Body;
pub use codings::{Coding, Codings};
pub use http::Http;
pub(crate) use http::{hash_host, is_condition};
pub use line::Line;
pub use proxied::proxied;
pub(crate) use ranges::MAX_SPANS;
pub use ranges::{Ranges, Span};
pub(crate) use request::decode_target_of;
pub use request::{decode_target, Recogniser, Request, Target, Unrecognised, MAX_PIPELINED};
pub(crate) use text::MAX_HOST;
pub use text::{Text, MAX_TARGET};
