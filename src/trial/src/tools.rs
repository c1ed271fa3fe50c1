//! Where things are: the scripts beside the source, the library and the command beside this program.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};

use crate::plan::Program;
use crate::servers::{Identity, Tools};

/// Chromium's names.
const CHROMIUM: [&str; 3] = ["chromium-headless-shell", "chromium", "google-chrome"];

/// The directory of `slow-disk` and `fast-disk`: in the source tree that this program was built in, or the current one.
pub fn scripts() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let current = std::env::current_dir()?;
    program
        .ancestors()
        .chain(current.ancestors())
        .map(|directory| directory.join("scripts"))
        .find(|scripts| scripts.join("slow-disk").exists())
        .context("scripts/slow-disk is neither above this program nor above the current directory")
}

/// The directory of the servers in Python, beside that of the scripts.
pub fn demo_servers() -> Result<PathBuf> {
    Ok(scripts()?.with_file_name("demo-servers"))
}

/// Where programs are. `scripts/install-merecat` puts one into cargo's target directory.
fn places() -> Result<Vec<PathBuf>> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    places.extend(["/usr/sbin", "/sbin"].map(PathBuf::from));
    places.extend(target()?.map(|target| target.join("unpacked/usr/sbin")));
    Ok(places)
}

fn find_program(places: &[PathBuf], command: &str) -> Option<PathBuf> {
    let mut here = places.iter().map(|place| place.join(command));
    here.find(|file| file.is_file())
}

/// Cargo's target directory, if this program is in it.
pub fn target() -> Result<Option<PathBuf>> {
    let program = std::env::current_exe()?;
    let mut above = program.ancestors();
    Ok(above
        .find(|directory| directory.ends_with("target"))
        .map(Path::to_path_buf))
}

/// Where the results go: where somebody said, or else into `name` in cargo's target directory.
pub fn out(given: Option<&Path>, name: &str) -> Result<PathBuf> {
    if let Some(out) = given {
        return Ok(out.to_path_buf());
    }
    Ok(target()?.unwrap_or_else(|| "target".into()).join(name))
}

/// The library and its command. What was asked for by name must exist; what is only looked for may be missing.
///
/// They are copied into `work`: whoever builds while the trial runs does not change what is measured half-way.
pub fn find(library: Option<&Path>, laio: Option<&Path>, work: &Path) -> Result<Tools> {
    let copy = |given: Option<&Path>, name| -> Result<Option<PathBuf>> {
        let Some(path) = locate(given, name)? else {
            return Ok(None);
        };
        let copied = work.join(name);
        fs::copy(&path, &copied).with_context(|| format!("cannot copy {}", path.display()))?;
        Ok(Some(copied))
    };
    let places = places()?;
    let server = |program: Program| Some((program, find_program(&places, program.command())?));
    let mut browsers = CHROMIUM.iter();
    Ok(Tools {
        library: copy(library, "liblaio.so")?,
        laio: copy(laio, "laio")?,
        programs: Program::all().filter_map(server).collect(),
        h2load: find_program(&places, "h2load"),
        chromium: browsers.find_map(|browser| find_program(&places, browser)),
        demo_servers: demo_servers()?,
        identity: Identity::make(work)?,
    })
}

fn locate(given: Option<&Path>, name: &str) -> Result<Option<PathBuf>> {
    let program = std::env::current_exe()?;
    let path = given.map_or_else(|| program.with_file_name(name), Path::to_path_buf);
    match path.canonicalize() {
        Ok(path) => Ok(Some(path)),
        Err(error) if given.is_some() => bail!("{}: {error}", path.display()),
        Err(_) => Ok(None),
    }
}
