//! `longjmp` and its kin: a signal handler may jump out of the library.
//!
//! They are jumped to, not called, for they look at the stack and do not come back. All that is noted is that the thread has
//! jumped (`sys::handler`).

use crate::sys::local::place;
use libc::{c_int, c_void};
use std::cell::UnsafeCell;
use std::ffi::CStr;

type Jump = unsafe extern "C" fn(*mut c_void, c_int) -> !;

/// The next library's function.
struct Real(UnsafeCell<Jump>);

// SAFETY: written by a constructor, when the process has one thread that matters.
unsafe impl Sync for Real {}

fn find(name: &CStr) -> Option<Jump> {
    // SAFETY: a name, which is looked for behind this library; that function has this type.
    unsafe {
        let next = libc::dlsym(libc::RTLD_NEXT, name.as_ptr());
        std::mem::transmute::<*mut c_void, Option<Jump>>(next)
    }
}

macro_rules! jumps {
    ($($name:ident, $real:ident, $early:ident, $text:literal;)+) => {
        $(
            static $real: Real = Real(UnsafeCell::new($early));

            /// Before the constructor.
            unsafe extern "C" fn $early(buffer: *mut c_void, value: c_int) -> ! {
                match find($text) {
                    // SAFETY: the caller's own call.
                    Some(real) => unsafe { real(buffer, value) },
                    None => std::process::abort(),
                }
            }

            /// A jump.
            ///
            /// # Safety
            ///
            /// As for the real one.
            #[cfg(target_arch = "x86_64")]
            #[no_mangle]
            #[unsafe(naked)]
            pub unsafe extern "C" fn $name() -> ! {
                core::arch::naked_asm!(
                    "mov rax, qword ptr [rip + laio_locals@GOTTPOFF]",
                    "mov byte ptr fs:[rax + {jumped}], 1",
                    "jmp qword ptr [rip + {real}]",
                    jumped = const place::JUMPED * 8,
                    real = sym $real,
                )
            }

            /// A jump, as on the other processor.
            ///
            /// # Safety
            ///
            /// As for the real one.
            #[cfg(target_arch = "aarch64")]
            #[no_mangle]
            #[unsafe(naked)]
            pub unsafe extern "C" fn $name() -> ! {
                core::arch::naked_asm!(
                    "adrp x9, :gottprel:laio_locals",
                    "ldr x9, [x9, :gottprel_lo12:laio_locals]",
                    "mrs x10, tpidr_el0",
                    "add x9, x9, x10",
                    "mov w10, #1",
                    "strb w10, [x9, {jumped}]",
                    "adrp x9, {real}",
                    "ldr x9, [x9, :lo12:{real}]",
                    "br x9",
                    jumped = const place::JUMPED * 8,
                    real = sym $real,
                )
            }
        )+

        /// Finds the next library's functions, at start-up.
        pub fn resolve_jumps() {
            $(
                if let Some(real) = find($text) {
                    // SAFETY: as to the place, see there.
                    unsafe { *$real.0.get() = real };
                }
            )+
        }
    };
}

jumps! {
    longjmp, LONGJMP, early_longjmp, c"longjmp";
    _longjmp, PLAIN_LONGJMP, early_plain_longjmp, c"_longjmp";
    siglongjmp, SIGLONGJMP, early_siglongjmp, c"siglongjmp";
    __longjmp_chk, CHECKED_LONGJMP, early_checked_longjmp, c"__longjmp_chk";
}
