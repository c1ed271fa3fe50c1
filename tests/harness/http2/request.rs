//! A request: its fields, how they are encoded (RFC 7541), and how their block is put into frames.

use super::frames::{
    frame, priority_payload, CONTINUATION, END_HEADERS, END_STREAM, HEADERS, PADDED, WITH_PRIORITY,
};
use crate::Result;
use anyhow::anyhow;
use httlib_hpack::Encoder;

/// How fields are encoded.
#[derive(Clone, Debug)]
pub struct Coding {
    /// Whether what a table holds goes by its index.
    pub by_index: bool,
    /// Whether the path goes into the dynamic table.
    pub index_path: bool,
    /// Whether the other fields do.
    pub index_others: bool,
    /// Whether those that do not say that they never may.
    pub never: bool,
    /// Whether strings are Huffman coded.
    pub huffman: bool,
    /// Sizes that the dynamic table is set to first.
    pub sizes: &'static [u32],
}

impl Coding {
    /// What browsers do: all but paths goes into the table.
    pub const BROWSER: Self = Self {
        by_index: true,
        index_path: false,
        index_others: true,
        never: false,
        huffman: true,
        sizes: &[],
    };

    /// All goes into the table.
    pub const INDEXED: Self = Self {
        index_path: true,
        ..Self::BROWSER
    };

    /// No table and no code, names included.
    pub const LITERAL: Self = Self {
        by_index: false,
        index_others: false,
        huffman: false,
        ..Self::BROWSER
    };

    fn flags(&self, name: &str) -> u8 {
        let indexed = match name {
            ":path" => self.index_path,
            _ => self.index_others,
        };
        let mut flags = 0;
        if self.by_index {
            flags |= Encoder::BEST_FORMAT;
        }
        if self.huffman {
            flags |= Encoder::HUFFMAN_NAME | Encoder::HUFFMAN_VALUE;
        }
        match (indexed, self.never) {
            (true, _) => flags | Encoder::WITH_INDEXING,
            (false, true) => flags | Encoder::NEVER_INDEXED,
            (false, false) => flags,
        }
    }

    /// A header block.
    pub(crate) fn block(
        &self,
        encoder: &mut Encoder<'static>,
        fields: &[(&str, &str)],
    ) -> Result<Vec<u8>> {
        let mut block = Vec::new();
        for size in self.sizes {
            let set = encoder.update_max_dynamic_size(*size, &mut block);
            set.map_err(|e| anyhow!("HPACK: {e:?}"))?;
        }
        for (name, value) in fields {
            let field = (
                name.as_bytes().to_vec(),
                value.as_bytes().to_vec(),
                self.flags(name),
            );
            let encoded = encoder.encode(field, &mut block);
            encoded.map_err(|e| anyhow!("HPACK: {e:?}"))?;
        }
        Ok(block)
    }
}

/// How a header block is put into frames.
#[derive(Clone, Debug, Default)]
pub struct Framing {
    /// How much padding there is.
    pub padding: Option<u8>,
    /// What the stream depends on, and its weight.
    pub priority: Option<(u32, u8)>,
    /// How many bytes of the block a frame has; 0 is all of it.
    pub fragment: usize,
}

impl Framing {
    /// One frame, and more where the block is cut.
    pub(crate) fn frames(&self, stream: u32, block: &[u8], ends: bool) -> Vec<u8> {
        let length = match self.fragment {
            0 => block.len().max(1),
            length => length,
        };
        let mut pieces = block.chunks(length);
        let first = pieces.next().unwrap_or_default();
        let rest: Vec<_> = pieces.collect();
        let mut flags = if ends { END_STREAM } else { 0 };
        if rest.is_empty() {
            flags |= END_HEADERS;
        }
        let mut payload = Vec::new();
        if let Some(padding) = self.padding {
            flags |= PADDED;
            payload.push(padding);
        }
        if let Some((depends_on, weight)) = self.priority {
            flags |= WITH_PRIORITY;
            payload.extend(priority_payload(depends_on, weight));
        }
        payload.extend(first);
        payload.extend(vec![0; self.padding.unwrap_or(0).into()]);
        let mut bytes = frame(HEADERS, flags, stream, &payload);
        for (at, piece) in rest.iter().enumerate() {
            let flags = match at + 1 == rest.len() {
                true => END_HEADERS,
                false => 0,
            };
            bytes.extend(frame(CONTINUATION, flags, stream, piece));
        }
        bytes
    }
}

/// A request without its body.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The path; without one (`CONNECT`) there is no scheme either.
    pub path: Option<String>,
    /// The server's name.
    pub authority: String,
    /// Other fields.
    pub fields: Vec<(String, String)>,
    /// Whether nothing follows.
    pub ends: bool,
    /// How the fields are encoded.
    pub coding: Coding,
    /// How they are put into frames.
    pub framing: Framing,
}

impl Request {
    /// A request as browsers send it.
    pub fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.into(),
            path: Some(path.into()),
            authority: "localhost".into(),
            fields: vec![("user-agent".into(), "laio-tests".into())],
            ends: true,
            coding: Coding::BROWSER,
            framing: Framing::default(),
        }
    }

    /// For what is at this path.
    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// With one more field.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// Its fields in order (RFC 9113, section 8.3.1).
    pub(crate) fn list<'a>(&'a self, scheme: &'a str) -> Vec<(&'a str, &'a str)> {
        let mut list = vec![(":method", &*self.method)];
        if let Some(path) = &self.path {
            list.extend([(":scheme", scheme), (":path", path)]);
        }
        list.push((":authority", &self.authority));
        list.extend(self.fields.iter().map(|(n, v)| (&**n, &**v)));
        list
    }
}
