//! What will this handler do? Rules learnt from what the server did before.
//!
//! A rule says: a target under this prefix makes the server touch that path. It is learnt by laying
//! a request's target beside the path of an operation that followed it (`/d1/f.html` beside
//! `/srv/www/d1/f.html`), and it only ever leads to *warming*: a wrong rule costs a little disk time
//! and its own standing, never an answer.
//!
//! What is learnt comes from strangers, who choose what is asked for and when. A rule is therefore
//! *unproven* at first: it predicts beside the proven one that it would take the place of, and takes that
//! place only after eight of its predictions have come true, and more than four times as many as have not.
//!
//! Where rules differ in what their clients have said, a *template* is made of two of them (`/~{1}/` → `/home/{1}/public_html/`). It
//! predicts beside the rules. What is opened together with a page and lies elsewhere is its *companion*.

mod companions;
mod conditions;
mod index;
mod lesson;
mod outcome;
mod rule;
mod shape;
mod table;
mod template;
mod templates;
#[cfg(test)]
mod tests;
mod unnamed;
mod votes;

pub use lesson::Lesson;
pub use outcome::Outcome;
pub use table::Rules;
