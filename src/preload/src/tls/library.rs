//! The OpenSSL libraries of the process, each with the functions that are called here.
//!
//! A program may load its OpenSSL where no other library finds it (CPython, lighttpd), and may have two. A context is made by
//! a method, which lies in the very library that is meant: its address tells.

use crate::sys::published::Published;
use libc::{c_char, c_int, c_uint, c_void, Dl_info};
use std::ffi::CStr;
use std::mem::{transmute_copy, MaybeUninit};

/// A key log callback: a connection, and a line.
pub type Callback = unsafe extern "C" fn(*const c_void, *const c_char);

/// OpenSSL libraries that a process may have.
pub const MOST: usize = 4;

static LIBRARIES: [Published<Library>; MOST] = [const { Published::new() }; MOST];

/// One of them. Pointers to its structures are never looked into.
#[derive(Debug)]
pub struct Library {
    base: usize,
    /// `SSL_CTX_new`
    pub new: unsafe extern "C" fn(*const c_void) -> *mut c_void,
    /// `SSL_CTX_new_ex`, from 3.0 on.
    pub new_ex:
        Option<unsafe extern "C" fn(*mut c_void, *const c_char, *const c_void) -> *mut c_void>,
    /// What is needed to be told keys, from 1.1.1 on.
    pub log: Option<KeyLog>,
}

/// The functions of a library that tells keys.
#[derive(Clone, Copy, Debug)]
pub struct KeyLog {
    /// `SSL_CTX_set_keylog_callback`
    pub set: unsafe extern "C" fn(*mut c_void, Option<Callback>),
    /// `SSL_CTX_get_keylog_callback`
    pub get: unsafe extern "C" fn(*const c_void) -> Option<Callback>,
    /// `SSL_get_SSL_CTX`
    pub context: unsafe extern "C" fn(*const c_void) -> *mut c_void,
    /// `SSL_is_server`
    pub is_server: unsafe extern "C" fn(*const c_void) -> c_int,
    /// `SSL_version`
    pub version: unsafe extern "C" fn(*const c_void) -> c_int,
    /// `SSL_get_current_cipher`
    pub cipher: unsafe extern "C" fn(*const c_void) -> *const c_void,
    /// `SSL_CIPHER_get_id`
    pub number: unsafe extern "C" fn(*const c_void) -> u32,
    /// `SSL_get_server_random`
    pub server_random: unsafe extern "C" fn(*const c_void, *mut u8, usize) -> usize,
    /// `SSL_get0_alpn_selected`
    pub protocol: unsafe extern "C" fn(*const c_void, *mut *const u8, *mut c_uint),
}

/// The library that a method lies in, with its number; nothing where it is in none that can be called.
pub fn made_by(method: *const c_void) -> Option<(usize, &'static Library)> {
    let object = object(method)?;
    let base = object.dli_fbase.addr();
    for (number, place) in LIBRARIES.iter().enumerate() {
        match place.get() {
            Some(library) if library.base == base => return Some((number, library)),
            Some(_) => {}
            None => {
                let library = place.publish(Box::new(open(&object)?));
                if library.base == base {
                    return Some((number, library));
                }
            }
        }
    }
    None
}

/// A library by its number.
pub fn numbered(number: usize) -> Option<&'static Library> {
    LIBRARIES.get(number)?.get()
}

/// A function of this name behind this library, where the program has loaded one for all to find.
///
/// # Safety
/// `F` is the type of a pointer to it.
pub unsafe fn next<F: Copy>(name: &CStr) -> Option<F> {
    // SAFETY: a name that ends; the caller's promise.
    unsafe { function(libc::RTLD_NEXT, name) }
}

/// The shared object that an address lies in.
fn object(address: *const c_void) -> Option<Dl_info> {
    let mut object = MaybeUninit::<Dl_info>::uninit();
    // SAFETY: asks about an address, whatever it is, and has room for the answer.
    let found = unsafe { libc::dladdr(address, object.as_mut_ptr()) } != 0;
    // SAFETY: then it was filled.
    let object = found.then(|| unsafe { object.assume_init() })?;
    (!object.dli_fname.is_null()).then_some(object)
}

/// Its functions. It is never unloaded from now on.
fn open(object: &Dl_info) -> Option<Library> {
    let flags = libc::RTLD_LAZY | libc::RTLD_NOLOAD;
    // SAFETY: the name of an object that is loaded.
    let handle = unsafe { libc::dlopen(object.dli_fname, flags) };
    if handle.is_null() {
        return None;
    }
    // SAFETY: each name is that of a function of this type.
    unsafe {
        Some(Library {
            base: object.dli_fbase.addr(),
            new: function(handle, c"SSL_CTX_new")?,
            new_ex: function(handle, c"SSL_CTX_new_ex"),
            log: key_log(handle),
        })
    }
}

/// # Safety
/// A handle of an OpenSSL library.
unsafe fn key_log(handle: *mut c_void) -> Option<KeyLog> {
    // SAFETY: each name is that of a function of this type.
    unsafe {
        Some(KeyLog {
            set: function(handle, c"SSL_CTX_set_keylog_callback")?,
            get: function(handle, c"SSL_CTX_get_keylog_callback")?,
            context: function(handle, c"SSL_get_SSL_CTX")?,
            is_server: function(handle, c"SSL_is_server")?,
            version: function(handle, c"SSL_version")?,
            cipher: function(handle, c"SSL_get_current_cipher")?,
            number: function(handle, c"SSL_CIPHER_get_id")?,
            server_random: function(handle, c"SSL_get_server_random")?,
            protocol: function(handle, c"SSL_get0_alpn_selected")?,
        })
    }
}

/// A function of this name.
///
/// # Safety
/// A handle, and `F` is the type of a pointer to that function.
unsafe fn function<F: Copy>(handle: *mut c_void, name: &CStr) -> Option<F> {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
    // SAFETY: the caller's handle, and a name that ends.
    let found = unsafe { libc::dlsym(handle, name.as_ptr()) };
    // SAFETY: the caller's promise.
    (!found.is_null()).then(|| unsafe { transmute_copy(&found) })
}
