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
mod polling;
mod process;
mod registration;
mod restriction;
mod socket;
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

macro_rules! hooks {
    ($($operation:literal, $purpose:literal {
        $($name:ident($($argument:ident: $type:ty),*) -> $result:ty => $lane:ident($($seen:expr),*);)+
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
                        let real = || redhook::real!($name)($($argument),*);
                        if program::acts_here() { $lane(real, $($seen),*) } else { real() }
                    }
                }

                /// Calls the real function, with arguments that may not be the application's. In line: a thread that is
                /// cancelled in it is unwound past a call by pointer only.
                #[allow(dead_code)]
                #[inline(always)]
                pub unsafe fn real($($argument: $type),*) -> $result {
                    redhook::real!($name)($($argument),*)
                }

                /// Finds the real function now, so that no call has to.
                pub fn resolve() {
                    let _ = redhook::real!($name);
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
