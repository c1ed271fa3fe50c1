//! Caches of nginx: files whose names are made of a request, but do not show it.
//!
//! `proxy_cache`, `fastcgi_cache` and their kin keep an answer in a file that is named by the MD5 of a *key*, which a
//! template in the configuration makes of the request (`$scheme$proxy_host$request_uri`). The file says its key. So a file
//! that the server has opened, whose key has the name for its sum, tells how keys are made of requests: `lesson` lays the
//! two beside each other, and [`Caches`] predicts by what was learnt.

mod file;
mod lesson;
mod scopes;
#[cfg(test)]
mod strangers;
mod table;
mod template;
#[cfg(test)]
mod tests;

pub use file::{key_in, CacheFile, MAX_KEY};
pub use table::{Caches, Learnt};
