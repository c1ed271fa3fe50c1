//! The beginning and the end of the library in a process, and its children: the one room that knows all the others.

mod fork;
mod startup;
