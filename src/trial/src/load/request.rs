//! What is asked, and what answer is right.

use std::fmt::Write as _;

use crate::files::FileSet;

/// One request for a file.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// The file's number.
    pub file: u32,
    /// How it is asked for.
    pub kind: Kind,
}

/// How a file is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// All of it.
    Whole,
    /// All of it, and the server closes the connection after it.
    Last,
    /// So many bytes from the first offset on.
    Range(u32, u32),
    /// By a name that does not exist.
    Missing,
    /// All of it, but the connection is reset as soon as the request is sent.
    ResetAtOnce,
    /// All of it, but the connection is reset as soon as an answer begins.
    ResetInBody,
}

/// The answer that is right.
pub struct Expected {
    /// The HTTP status.
    pub status: u16,
    /// The body, where it is ours to know.
    pub body: Option<&'static [u8]>,
}

impl Request {
    /// The whole file.
    pub fn whole(file: u32) -> Self {
        Self {
            file,
            kind: Kind::Whole,
        }
    }

    /// Replaces `out` by the request's text.
    pub fn write(&self, set: &FileSet, out: &mut String) {
        out.clear();
        out.push_str("GET ");
        set.push_target(self.file, out);
        if self.kind == Kind::Missing {
            out.push_str(".missing");
        }
        out.push_str(" HTTP/1.1\r\nHost: localhost\r\n");
        out.push_str(match self.kind {
            Kind::Last => "Connection: close\r\n",
            // It is the default of HTTP/1.1, but servers of thttpd's family want to be told.
            _ => "Connection: keep-alive\r\n",
        });
        if let Kind::Range(from, length) = self.kind {
            let _ = write!(out, "Range: bytes={from}-{}\r\n", from + length - 1);
        }
        out.push_str("\r\n");
    }

    /// What a right answer holds.
    pub fn expected(&self, set: &FileSet) -> Expected {
        match self.kind {
            Kind::Missing => Expected {
                status: 404,
                body: None,
            },
            Kind::Range(from, length) => {
                let range = from as usize..(from + length) as usize;
                Expected {
                    status: 206,
                    body: Some(&set.content(self.file)[range]),
                }
            }
            Kind::Whole | Kind::Last | Kind::ResetAtOnce | Kind::ResetInBody => Expected {
                status: 200,
                body: Some(set.content(self.file)),
            },
        }
    }
}
