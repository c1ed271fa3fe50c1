//! How the library is linked.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

/// Functions that were in libraries of their own before glibc 2.34, with the version that they have had from the beginning. A
/// newer C library has both versions of each. To ask for the old one lets one build serve both.
const MOVED: [(&str, &[&str]); 2] = [
    ("dl", &["dladdr", "dlclose", "dlerror", "dlopen", "dlsym"]),
    (
        "pthread",
        &[
            "pthread_attr_getguardsize",
            "pthread_attr_getstack",
            "pthread_attr_getstacksize",
            "pthread_attr_setguardsize",
            "pthread_attr_setstack",
            "pthread_attr_setstacksize",
            "pthread_create",
            "pthread_detach",
            "pthread_getattr_np",
            "pthread_getspecific",
            "pthread_join",
            "pthread_key_create",
            "pthread_key_delete",
            "pthread_kill",
            "pthread_mutex_trylock",
            "pthread_once",
            "pthread_setspecific",
            "pthread_sigmask",
        ],
    ),
];

/// By which name programs that are linked with the library find it. The number is that of the interface in `include/laio.h`.
const SONAME: &str = "liblaio.so.0";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=RUSTC_LINKER");
    // It is never unloaded: its threads, its handlers of `fork` and its destructors of threads may run at any time.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,{SONAME}");
    let variable = |name| env::var(name).unwrap_or_default();
    if let Err(error) = link(Path::new(&variable("OUT_DIR"))) {
        println!("cargo:warning=no link {SONAME} beside the library: {error}");
    }
    let first_version = match variable("CARGO_CFG_TARGET_ARCH").as_str() {
        "x86_64" => "GLIBC_2.2.5",
        "aarch64" => "GLIBC_2.17",
        _ => return,
    };
    if variable("CARGO_CFG_TARGET_ENV") != "gnu" {
        return;
    }
    let directory = PathBuf::from(variable("OUT_DIR")).join("old-glibc");
    let made = fs::create_dir_all(&directory).and_then(|()| {
        MOVED
            .iter()
            .try_for_each(|(name, functions)| stand_in(&directory, name, functions, first_version))
    });
    match made {
        Ok(()) => println!("cargo:rustc-link-search=native={}", directory.display()),
        Err(error) => println!("cargo:warning=the library will need this machine's glibc: {error}"),
    }
}

/// Has programs that are linked with the library as it was built find it by its name, as an installed one. Cargo puts the
/// library three directories above what this script writes.
fn link(out: &Path) -> io::Result<()> {
    let profile = out.ancestors().nth(3).ok_or(io::ErrorKind::NotFound)?;
    match std::os::unix::fs::symlink("liblaio.so", profile.join(SONAME)) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Makes what the linker takes for such a library, as an older system has it: it is empty but for the names.
fn stand_in(directory: &Path, name: &str, functions: &[&str], version: &str) -> io::Result<()> {
    let [code, script] = ["s", "map"].map(|ending| directory.join(format!("{name}.{ending}")));
    let listed = |item: fn(&str) -> String| functions.iter().map(|f| item(f)).collect::<String>();
    let labels =
        listed(|function| format!(".globl {function}\n.type {function}, %function\n{function}:\n"));
    fs::write(
        &code,
        format!(".text\n{labels}.section .note.GNU-stack, \"\", %progbits\n"),
    )?;
    let exported = listed(|function| format!(" {function};"));
    fs::write(
        &script,
        format!("{version} {{ global:{exported} local: *; }};\n"),
    )?;
    let suffix = if name == "dl" { "2" } else { "0" };
    let linker = env::var_os("RUSTC_LINKER").unwrap_or_else(|| "cc".into());
    let status = Command::new(&linker)
        .args(["-shared", "-nostdlib"])
        .arg(format!("-Wl,-soname,lib{name}.so.{suffix}"))
        .arg(format!("-Wl,--version-script={}", script.display()))
        .arg("-o")
        .arg(directory.join(format!("lib{name}.so")))
        .arg(&code)
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!("{}: {status}", linker.display())))
    }
}
