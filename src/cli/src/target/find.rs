//! Which file a program's name means, as shells have it.

use std::ffi::OsStr;
use std::fmt::{Display, Formatter, Result as Formatted};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Directories with commands for administrators, which users do not have in their paths.
const ELSEWHERE: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Why there is no such program.
#[derive(Debug, PartialEq, Eq)]
pub enum Missing {
    /// No file of this name; perhaps there is one elsewhere.
    NotFound(String, Option<PathBuf>),
    /// A file that may not be executed.
    NotExecutable(PathBuf, &'static str),
}

impl Missing {
    /// The exit status of shells for it.
    pub fn status(&self) -> u8 {
        match self {
            Missing::NotFound(..) => 127,
            Missing::NotExecutable(..) => 126,
        }
    }
}

impl Display for Missing {
    fn fmt(&self, f: &mut Formatter<'_>) -> Formatted {
        match self {
            Missing::NotFound(name, Some(path)) => {
                write!(
                    f,
                    "{name} is not on the PATH, but there is {}: name it so",
                    path.display()
                )
            }
            Missing::NotFound(name, None) if name.contains('/') => {
                write!(f, "there is no file {name}")
            }
            Missing::NotFound(name, None) => {
                write!(f, "{name} is not on the PATH: is it installed?")
            }
            Missing::NotExecutable(path, why) => write!(f, "{} {why}", path.display()),
        }
    }
}

/// The file that would be executed.
pub fn find(name: &OsStr) -> Result<PathBuf, Missing> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    find_in(name, std::env::split_paths(&path), &ELSEWHERE)
}

fn find_in(
    name: &OsStr,
    path: impl Iterator<Item = PathBuf>,
    elsewhere: &[&str],
) -> Result<PathBuf, Missing> {
    let shown = laio_core::escape::Escaped(name.as_bytes()).to_string();
    if name.as_bytes().contains(&b'/') {
        let file = PathBuf::from(name);
        return match why_not(&file) {
            None => Ok(file),
            Some(Not::There) => Err(Missing::NotFound(shown, None)),
            Some(Not::Executable(why)) => Err(Missing::NotExecutable(file, why)),
        };
    }
    let mut refused = None;
    for directory in path {
        let file = directory.join(name);
        match why_not(&file) {
            None => return Ok(file),
            Some(Not::There | Not::Executable("is a directory")) => {}
            Some(Not::Executable(why)) => {
                refused = refused.or(Some(Missing::NotExecutable(file, why)));
            }
        }
    }
    let others = elsewhere
        .iter()
        .map(|directory| Path::new(directory).join(name));
    let other = others.into_iter().find(|file| why_not(file).is_none());
    Err(refused.unwrap_or(Missing::NotFound(shown, other)))
}

enum Not {
    There,
    Executable(&'static str),
}

fn why_not(file: &Path) -> Option<Not> {
    use rustix::fs::{access, Access};
    match std::fs::metadata(file) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Some(
            Not::Executable("is out of reach: a directory above it may not be searched"),
        ),
        Err(_) => Some(Not::There),
        Ok(status) if status.is_dir() => Some(Not::Executable("is a directory")),
        Ok(_) if access(file, Access::EXEC_OK).is_err() => Some(Not::Executable(
            "may not be executed: is it a program? then chmod +x",
        )),
        Ok(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// Without it, scripts that look at the status of `laio run` could not tell a missing program from one that failed.
    #[test]
    fn statuses_are_those_of_shells() {
        let dir = std::env::temp_dir().join(format!("laio-find-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let file = |name: &str, mode| {
            let path = dir.join(name);
            std::fs::write(&path, "x").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let (plain, program) = (file("plain", 0o644), file("program", 0o755));
        let find = |name: &OsStr| find_in(name, [dir.clone()].into_iter(), &[]);
        assert_eq!(find(program.as_os_str()), Ok(program.clone()));
        assert_eq!(find(OsStr::new("program")), Ok(program));
        assert_eq!(find(plain.as_os_str()).unwrap_err().status(), 126);
        assert_eq!(find(OsStr::new("plain")).unwrap_err().status(), 126);
        assert_eq!(find(dir.as_os_str()).unwrap_err().status(), 126);
        assert_eq!(find(OsStr::new("none")).unwrap_err().status(), 127);
        assert_eq!(find(OsStr::new("/none/none")).unwrap_err().status(), 127);
        let elsewhere = find_in(
            OsStr::new("program"),
            [].into_iter(),
            &[dir.to_str().unwrap()],
        );
        assert!(elsewhere.unwrap_err().to_string().contains("name it so"));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
