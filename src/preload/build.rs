//! How the library is linked.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // It is never unloaded: its threads, its handlers of `fork` and its destructors of threads may run at any time.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
