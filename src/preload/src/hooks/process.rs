//! Becoming another program, and children that share their parent's memory.

use crate::gate::table;
use crate::sys::local::place;
use crate::sys::{errno, process};
use libc::{c_char, c_int, c_void};

/// `execve` and its kin: readiness that is held back must be seen by the new program, which has the connections and the
/// epoll instances that are not close-on-exec. Where the kernel refuses, this program goes on.
#[inline]
pub fn executed(real: impl FnOnce() -> c_int) -> c_int {
    if !process::is_same_process() {
        return real();
    }
    let kept = errno::Guard::new();
    let _open = table::open_all();
    drop(kept);
    real()
}

/// What `vfork` is, past our own.
struct Vfork(std::cell::UnsafeCell<unsafe extern "C" fn() -> c_int>);

// SAFETY: written by a constructor, when the process has one thread that matters.
unsafe impl Sync for Vfork {}

extern "C" {
    /// The C library's second name for `vfork`.
    fn __vfork() -> c_int;
}

static VFORK: Vfork = Vfork(std::cell::UnsafeCell::new(__vfork));

/// Finds the next library's `vfork`, at start-up.
pub fn resolve_vfork() {
    // SAFETY: a name, which is looked for behind this library.
    let next = unsafe { libc::dlsym(libc::RTLD_NEXT, c"vfork".as_ptr()) };
    if !next.is_null() {
        // SAFETY: that function has this type; as to the place, see there.
        unsafe {
            *VFORK.0.get() =
                std::mem::transmute::<*mut c_void, unsafe extern "C" fn() -> c_int>(next);
        }
    }
}

/// `vfork`, which returns twice by way of the same stack frame: the real function is jumped to, not called. What is noted
/// before is seen by the child and, when that is gone, by the parent.
///
/// # Safety
///
/// As for the real one.
#[cfg(target_arch = "x86_64")]
#[no_mangle]
#[unsafe(naked)]
pub unsafe extern "C" fn vfork() -> c_int {
    core::arch::naked_asm!(
        "mov rax, qword ptr [rip + laio_locals@GOTTPOFF]",
        "or byte ptr fs:[rax + {aside}], {vforked}",
        "jmp qword ptr [rip + {real}]",
        aside = const place::ASIDE * 8,
        vforked = const process::VFORKED,
        real = sym VFORK,
    )
}

/// `vfork`, as on the other processor.
///
/// # Safety
///
/// As for the real one.
#[cfg(target_arch = "aarch64")]
#[no_mangle]
#[unsafe(naked)]
pub unsafe extern "C" fn vfork() -> c_int {
    core::arch::naked_asm!(
        "adrp x9, :gottprel:laio_locals",
        "ldr x9, [x9, :gottprel_lo12:laio_locals]",
        "mrs x10, tpidr_el0",
        "add x9, x9, x10",
        "ldrb w10, [x9, {aside}]",
        "orr w10, w10, #{vforked}",
        "strb w10, [x9, {aside}]",
        "adrp x9, {real}",
        "ldr x9, [x9, :lo12:{real}]",
        "br x9",
        aside = const place::ASIDE * 8,
        vforked = const process::VFORKED,
        real = sym VFORK,
    )
}

/// The variadic functions: a path, and arguments up to a null pointer. Those that came in registers are put on the stack
/// below the others, so that all lie in a row as `execv` wants them.
macro_rules! variadic {
    ($($name:ident by $listed:ident;)+) => {$(
        /// A variadic function.
        ///
        /// # Safety
        ///
        /// As for the real one.
        #[cfg(target_arch = "x86_64")]
        #[no_mangle]
        #[unsafe(naked)]
        pub unsafe extern "C" fn $name() -> c_int {
            core::arch::naked_asm!(
                // The return address, whose place is needed.
                "pop rax",
                "push r9",
                "push r8",
                "push rcx",
                "push rdx",
                "push rsi",
                "mov rsi, rsp",
                "push rax",
                "call {listed}",
                "pop rcx",
                "add rsp, 40",
                "push rcx",
                "ret",
                listed = sym $listed,
            )
        }

        /// A variadic function.
        ///
        /// # Safety
        ///
        /// As for the real one.
        #[cfg(target_arch = "aarch64")]
        #[no_mangle]
        #[unsafe(naked)]
        pub unsafe extern "C" fn $name() -> c_int {
            core::arch::naked_asm!(
                "sub sp, sp, #80",
                "stp x29, x30, [sp]",
                "str x1, [sp, #24]",
                "stp x2, x3, [sp, #32]",
                "stp x4, x5, [sp, #48]",
                "stp x6, x7, [sp, #64]",
                "add x1, sp, #24",
                "bl {listed}",
                "ldp x29, x30, [sp]",
                "add sp, sp, #80",
                "ret",
                listed = sym $listed,
            )
        }
    )+};
}

variadic! {
    execl by execl_listed;
    execle by execle_listed;
    execlp by execlp_listed;
}

type List = *const *const c_char;

// The rest of the work is that of the functions with lists, by their hooks.

unsafe extern "C" fn execl_listed(path: *const c_char, list: List) -> c_int {
    // SAFETY: the caller's path, and its arguments in a row.
    unsafe { libc::execv(path, list) }
}

unsafe extern "C" fn execlp_listed(file: *const c_char, list: List) -> c_int {
    // SAFETY: as above.
    unsafe { libc::execvp(file, list) }
}

unsafe extern "C" fn execle_listed(path: *const c_char, list: List) -> c_int {
    let mut end = list;
    // SAFETY: as above; behind the null pointer comes the environment.
    unsafe {
        while !(*end).is_null() {
            end = end.add(1);
        }
        libc::execve(path, list, (*end.add(1)).cast())
    }
}
