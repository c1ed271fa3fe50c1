//! Addresses in a process's memory, by the names of the functions that they lie in.

use crate::process::image;
use laio_core::escape::Escaped;
use object::{Object, ObjectSegment, ObjectSymbol, SymbolKind};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// A part of a file in a process's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    start: u64,
    end: u64,
    offset: u64,
    is_code: bool,
    path: PathBuf,
}

impl Map {
    /// All parts of files, from what the kernel tells.
    pub fn all(maps: &[u8]) -> Vec<Map> {
        let lines = maps.split(|&byte| byte == b'\n');
        lines.filter_map(Map::read).collect()
    }

    fn read(line: &[u8]) -> Option<Map> {
        let path = line.get(line.iter().position(|&byte| byte == b'/')?..)?;
        let fields = std::str::from_utf8(&line[..line.len() - path.len()]).ok()?;
        let mut fields = fields.split(' ');
        let (start, end) = fields.next()?.split_once('-')?;
        let is_code = fields.next()?.contains('x');
        let number = |text| u64::from_str_radix(text, 16).ok();
        Some(Map {
            start: number(start)?,
            end: number(end)?,
            offset: number(fields.next()?)?,
            is_code,
            path: PathBuf::from(OsStr::from_bytes(path)),
        })
    }

    /// Files of data that are mapped, by name: those whose page faults a loop may wait for.
    pub fn data(maps: &[Map]) -> Vec<String> {
        let has_code = |path: &Path| maps.iter().any(|map| map.is_code && map.path == path);
        let is_of_system = |path: &Path| {
            let places = [
                "/usr/lib",
                "/usr/share",
                "/lib",
                "/dev",
                "/memfd:",
                "/SYSV",
                "/etc",
            ];
            places
                .iter()
                .any(|place| path.as_os_str().as_bytes().starts_with(place.as_bytes()))
        };
        let data = maps.iter().map(|map| map.path.as_path());
        let data = data.filter(|path| !has_code(path) && !is_of_system(path));
        let mut names: Vec<_> = data.map(crate::format::path).collect();
        names.sort();
        names.dedup();
        names
    }
}

/// A function: where it begins, how long it is, and its name.
type Function = (u64, u64, String);

/// What is known of one file.
#[derive(Debug, Default)]
struct Functions {
    /// Where its parts are in the file and in memory: offset, length, address.
    parts: Vec<(u64, u64, u64)>,
    functions: Vec<Function>,
}

/// The names of functions, file by file as they are asked for.
#[derive(Debug, Default)]
pub struct Names(HashMap<PathBuf, Functions>);

impl Names {
    /// The functions of a stack by name, the outermost first, without the library's own and without those that call
    /// themselves more than once.
    pub fn of(&mut self, pid: u32, maps: &[Map], stack: &[u64]) -> Vec<String> {
        let named = stack.iter().filter_map(|address| {
            // What a call returns to may be the next function's.
            let address = address.saturating_sub(1);
            let Some(map) = maps
                .iter()
                .find(|map| (map.start..map.end).contains(&address))
            else {
                return Some("[compiled while it ran]".to_owned());
            };
            let file = map.path.file_name().unwrap_or_default();
            if file == "liblaio.so" {
                return None;
            }
            let offset = address - map.start + map.offset;
            let functions = self.0.entry(map.path.clone());
            let functions = functions.or_insert_with(|| Functions::read(pid, &map.path));
            let name = functions.at(offset).map(demangled);
            Some(name.unwrap_or_else(|| format!("{}+{offset:#x}", Escaped(file.as_bytes()))))
        });
        let mut named: Vec<_> = named.collect();
        named.reverse();
        named.dedup();
        named
    }
}

impl Functions {
    fn read(pid: u32, path: &Path) -> Functions {
        let mut inside = PathBuf::from(format!("/proc/{pid}/root"));
        inside.push(path.strip_prefix("/").unwrap_or(path));
        let bytes = image::read(&inside).or_else(|_| image::read(path));
        let bytes = bytes.unwrap_or_default();
        let Ok(file) = object::File::parse(&*bytes) else {
            return Functions::default();
        };
        let parts = file.segments().map(|part| {
            let (offset, length) = part.file_range();
            (offset, length, part.address())
        });
        let mut functions = Functions {
            parts: parts.collect(),
            functions: Vec::new(),
        };
        functions.add(&file);
        // Debian's packages of debugging symbols.
        if let Ok(Some([first, rest @ ..])) = file.build_id() {
            let rest: String = rest.iter().map(|byte| format!("{byte:02x}")).collect();
            let apart = format!("/usr/lib/debug/.build-id/{first:02x}/{rest}.debug");
            let apart = image::read(Path::new(&apart)).unwrap_or_default();
            if let Ok(file) = object::File::parse(&*apart) {
                functions.add(&file);
            }
        }
        functions.functions.sort();
        functions
    }

    fn add(&mut self, file: &object::File<'_>) {
        let all = file.symbols().chain(file.dynamic_symbols());
        let all = all.filter(|it| it.kind() == SymbolKind::Text && it.address() > 0);
        self.functions.extend(all.filter_map(|symbol| {
            let name = symbol.name().ok()?.to_owned();
            Some((symbol.address(), symbol.size(), name))
        }));
    }

    fn at(&self, offset: u64) -> Option<&str> {
        let parts = self.parts.iter();
        let (start, _, address) = parts
            .into_iter()
            .find(|(start, length, _)| (*start..start.saturating_add(*length)).contains(&offset))?;
        let address = (offset - start).checked_add(*address)?;
        let behind = self
            .functions
            .partition_point(|(start, ..)| *start <= address);
        let (start, length, name) = self.functions.get(behind.checked_sub(1)?)?;
        (*length == 0 || address - start < *length).then_some(name)
    }
}

/// A name as it was written. It comes from a file that may mean harm.
fn demangled(name: &str) -> String {
    let plain = rustc_demangle::try_demangle(name).map(|name| format!("{name:#}"));
    let plain = plain.ok().or_else(|| {
        use cpp_demangle::{DemangleOptions, Symbol};
        let options = DemangleOptions::new().no_params().no_return_type();
        Symbol::new(name).ok()?.demangle_with_options(&options).ok()
    });
    let plain = plain.unwrap_or_else(|| name.to_owned());
    Escaped(plain.as_bytes()).to_string().replace(';', ":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_of_this_program_is_named() {
        let maps = std::fs::read("/proc/self/maps").unwrap();
        let maps = Map::all(&maps);
        let here = a_function_of_this_program_is_named as fn() as usize as u64 + 2;
        let stack = Names::default().of(std::process::id(), &maps, &[here, here, 0]);
        let [outside, name] = &*stack else {
            panic!("{stack:?}")
        };
        assert_eq!(outside, "[compiled while it ran]");
        assert!(
            name.contains("a_function_of_this_program_is_named"),
            "{name}"
        );
    }

    #[test]
    fn mapped_data_is_told_from_code() {
        let maps = b"1-2 r--p 0 08:01 1 /srv/program\n2-3 r-xp 1 08:01 1 /srv/program\n\
                     3-4 rw-s 0 08:01 2 /srv/a b.db\n4-5 r--p 0 08:01 3 /usr/lib/locale/x\n5-6 rw-p 0 0 0 [heap]\nx";
        assert_eq!(Map::data(&Map::all(maps)), ["/srv/a b.db"]);
    }

    #[test]
    fn names_of_other_languages_are_readable() {
        assert_eq!(demangled("_ZN4node2fs4ReadERKi"), "node::fs::Read");
        assert_eq!(
            demangled("_ZN4core3fmt5write17h0123456789abcdefE"),
            "core::fmt::write"
        );
        assert_eq!(
            demangled("ngx_http_static_handler"),
            "ngx_http_static_handler"
        );
        assert_eq!(demangled("a\x1b[2J;b"), "a\\u{1b}[2J:b");
    }
}
