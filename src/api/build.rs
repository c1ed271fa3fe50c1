//! Finds liblaio.so: in `LAIO_LIB_DIR`, as it is installed, or as this workspace builds it.

use std::env;
use std::path::Path;

fn main() {
    println!("cargo:rerun-if-env-changed=LAIO_LIB_DIR");
    let found = if let Ok(directory) = env::var("LAIO_LIB_DIR") {
        Some(directory)
    } else if pkg_config::probe_library("laio").is_ok() {
        None
    } else {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let target = env::var("CARGO_TARGET_DIR").map_or(workspace.join("target"), Into::into);
        Some(target.join("release").to_string_lossy().into_owned())
    };
    if let Some(directory) = found {
        println!("cargo:rustc-link-search=native={directory}");
        println!("cargo:rustc-link-lib=dylib=laio");
        println!("cargo:rustc-link-arg-tests=-Wl,-rpath,{directory}");
    }
}
