//! The exported symbols: the thin shell.
//!
//! A hook is made from each line of `laio_core::symbols` by `redhook`. It does nothing but hand the
//! real function and the arguments that matter to its lane, a plain function in this folder. Until
//! the library has woken up (another library's constructor may be calling), and wherever it does not
//! act, the real function is called and nothing else.

mod body;
mod change;
mod descriptor;
mod file;
mod jump;
mod newer;
mod parts;
mod polling;
mod process;
mod registration;
mod restriction;
mod socket;
mod tls;
mod wait;

use body::*;
use change::*;
use descriptor::*;
use file::*;
use libc::*;
use polling::*;
use process::*;
use registration::*;
use restriction::*;
use socket::*;
use std::ptr::{null, null_mut};
use wait::*;

use crate::sys::program;
use laio_core::predictions::Depth::*;
use laio_core::stats::Call::*;

/// The real function of a name: found by `redhook`, which takes for granted that there is one. A name that the C library
/// may be too old for is looked for here.
macro_rules! find {
    ($name:ident($($type:ty),*) -> $result:ty) => {
        redhook::real!($name)
    };
    ($name:ident($($type:ty),*) -> $result:ty, since $glibc:literal) => {{
        static NEXT: newer::Next<unsafe extern "C" fn($($type),*) -> $result> =
            newer::Next::new(concat!(stringify!($name), "\0"), newer::$name);
        NEXT.get()
    }};
}

macro_rules! hooks {
    ($($operation:literal, $purpose:literal {
        $($name:ident($($argument:ident: $type:ty),*) -> $result:ty => $lane:ident($($seen:expr),*) $(, since $glibc:literal)?;)+
    })+) => {
        $($(
            mod $name {
                // What `redhook` writes is of its own edition and its own style.
                #![allow(static_mut_refs, missing_docs, clippy::undocumented_unsafe_blocks)]
                #![allow(unused_imports, missing_abi, unsafe_op_in_unsafe_fn, clippy::missing_safety_doc)]
                #![allow(clippy::missing_transmute_annotations, non_camel_case_types, clashing_extern_declarations)]
                use super::*;

                redhook::hook! {
                    unsafe fn $name($($argument: $type),*) -> $result => hook {
                        let real = || next()($($argument),*);
                        if program::acts_here() { $lane(real, $($seen),*) } else { real() }
                    }
                }

                /// The real function.
                #[inline(always)]
                fn next() -> unsafe extern "C" fn($($type),*) -> $result {
                    find!($name($($type),*) -> $result $(, since $glibc)?)
                }

                /// Calls the real function, with arguments that may not be the application's. In line: a thread that is
                /// cancelled in it is unwound past a call by pointer only.
                #[allow(dead_code)]
                #[inline(always)]
                pub unsafe fn real($($argument: $type),*) -> $result {
                    next()($($argument),*)
                }

                /// Finds the real function now, so that no call has to.
                pub fn resolve() {
                    let _ = next();
                }
            }
        )+)+

        /// Finds all real functions.
        pub fn resolve() {
            resolve_vfork();
            jump::resolve_jumps();
            $($($name::resolve();)+)+
        }
    };
}

laio_core::symbols!(hooks);
