//! OpenSSL's contexts: each tells its connections' keys from when it is made.
//!
//! These functions belong to a library that a program need not have, and may have loaded for itself alone; so they are not
//! looked for at start-up, but where they are called.

use crate::sys::program;
use crate::tls::{self, Callback, Library};
use libc::{c_char, c_void};
use std::ptr::null_mut;

fn acts() -> bool {
    program::acts_here() && program::config().is_some_and(|config| config.tls)
}

/// A context was made by this library.
fn made(context: *mut c_void, library: (usize, &Library)) -> *mut c_void {
    if !context.is_null() && acts() {
        tls::watch(context, library);
    }
    context
}

/// `SSL_CTX_new`
///
/// # Safety
///
/// As for the real one.
#[no_mangle]
pub unsafe extern "C" fn SSL_CTX_new(method: *const c_void) -> *mut c_void {
    type Real = unsafe extern "C" fn(*const c_void) -> *mut c_void;
    // SAFETY: the caller's own call; the function of that name has this type.
    unsafe {
        match tls::made_by(method) {
            Some((number, library)) => made((library.new)(method), (number, library)),
            None => tls::next::<Real>(c"SSL_CTX_new").map_or(null_mut(), |real| real(method)),
        }
    }
}

/// `SSL_CTX_new_ex`
///
/// # Safety
///
/// As for the real one.
#[no_mangle]
pub unsafe extern "C" fn SSL_CTX_new_ex(
    of: *mut c_void,
    properties: *const c_char,
    method: *const c_void,
) -> *mut c_void {
    type Real = unsafe extern "C" fn(*mut c_void, *const c_char, *const c_void) -> *mut c_void;
    let found = tls::made_by(method);
    // SAFETY: the caller's own call; the function of that name has this type.
    unsafe {
        match found.and_then(|(number, library)| Some((number, library, library.new_ex?))) {
            Some((number, library, real)) => made(real(of, properties, method), (number, library)),
            None => {
                let real = tls::next::<Real>(c"SSL_CTX_new_ex");
                real.map_or(null_mut(), |real| real(of, properties, method))
            }
        }
    }
}

/// `SSL_CTX_set_keylog_callback`: the program's own is called by the library's.
///
/// # Safety
///
/// As for the real one.
#[no_mangle]
pub unsafe extern "C" fn SSL_CTX_set_keylog_callback(context: *mut c_void, own: Option<Callback>) {
    type Real = unsafe extern "C" fn(*mut c_void, Option<Callback>);
    if tls::set_own_callback(context, own) {
        return;
    }
    let known = tls::log_of(context).map(|log| log.set);
    // SAFETY: the caller's own call; the function of that name has this type.
    unsafe {
        if let Some(real) = known.or_else(|| tls::next::<Real>(c"SSL_CTX_set_keylog_callback")) {
            real(context, own);
        }
    }
}

/// `SSL_CTX_get_keylog_callback`: the program's own.
///
/// # Safety
///
/// As for the real one.
#[no_mangle]
pub unsafe extern "C" fn SSL_CTX_get_keylog_callback(context: *const c_void) -> Option<Callback> {
    type Real = unsafe extern "C" fn(*const c_void) -> Option<Callback>;
    if let Some(own) = tls::own_callback(context) {
        return own;
    }
    let known = tls::log_of(context).map(|log| log.get);
    // SAFETY: the caller's own call; the function of that name has this type.
    unsafe {
        let real = known.or_else(|| tls::next::<Real>(c"SSL_CTX_get_keylog_callback"))?;
        // A context that is watched, and not remembered any more.
        real(context).filter(|&found| !tls::is_ours(found))
    }
}
