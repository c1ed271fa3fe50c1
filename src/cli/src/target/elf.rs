//! What an ELF file says of itself.

use anyhow::{bail, Result};
use object::elf::{FileHeader64, DT_NEEDED, EM_AARCH64, EM_X86_64, ET_DYN, ET_EXEC, PT_INTERP};
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _};
use object::{Endianness, FileKind, Object as _, ObjectSymbol as _};
use std::collections::BTreeSet;

/// The processor that this command, and so the library, is built for.
const OWN_MACHINE: u16 = if cfg!(target_arch = "aarch64") {
    EM_AARCH64
} else {
    EM_X86_64
};

/// What matters of a program or a library.
#[derive(Debug, Default)]
pub struct Elf {
    /// Words for its processor.
    pub processor: String,
    /// Whether that is the library's.
    pub is_own_processor: bool,
    /// The dynamic linker that it names.
    pub interpreter: Option<String>,
    /// Libraries that it names.
    pub needed: Vec<String>,
    /// Functions that it takes from libraries.
    pub imports: BTreeSet<String>,
    /// Functions that it has, as far as others can take them.
    pub exports: BTreeSet<String>,
    /// Whether it is made by Go.
    pub is_go: bool,
    /// Words that stand somewhere in it, of those that are looked for.
    pub mentions: Vec<&'static str>,
}

/// Words that tell what is linked into a program.
const WORDS: [&str; 3] = ["UV_USE_IO_URING", "BoringSSL", "OpenSSL 3."];

fn name_of(machine: u16) -> String {
    use object::elf::*;
    match machine {
        EM_X86_64 => "x86-64".into(),
        EM_AARCH64 => "AArch64".into(),
        EM_386 => "32-bit x86".into(),
        EM_ARM => "32-bit ARM".into(),
        EM_RISCV => "RISC-V".into(),
        EM_PPC64 => "POWER".into(),
        EM_S390 => "s390x".into(),
        other => format!("an unknown processor ({other})"),
    }
}

impl Elf {
    /// Reads it.
    pub fn parse(bytes: &[u8]) -> Result<Elf> {
        let kind = FileKind::parse(bytes).unwrap_or(FileKind::Coff);
        match kind {
            FileKind::Elf64 => Elf::parse_64(bytes),
            FileKind::Elf32 => {
                let machine = bytes
                    .get(18..20)
                    .map_or(0, |m| u16::from_le_bytes([m[0], m[1]]));
                Ok(Elf {
                    processor: name_of(machine),
                    ..Elf::default()
                })
            }
            _ => bail!("it is no ELF file and no script"),
        }
    }

    fn parse_64(bytes: &[u8]) -> Result<Elf> {
        let header = FileHeader64::<Endianness>::parse(bytes)?;
        let endian = header.endian()?;
        let machine = header.e_machine(endian);
        let kind = header.e_type(endian);
        if ![ET_EXEC, ET_DYN].contains(&kind) {
            bail!("it is an ELF file, but no program");
        }
        let mut elf = Elf {
            processor: name_of(machine),
            is_own_processor: machine == OWN_MACHINE && endian == Endianness::Little,
            ..Elf::default()
        };
        for segment in header.program_headers(endian, bytes)? {
            if segment.p_type(endian) == PT_INTERP {
                let name = segment.interpreter(endian, bytes)?.unwrap_or_default();
                elf.interpreter = Some(String::from_utf8_lossy(name).into_owned());
            }
        }
        let sections = header.sections(endian, bytes)?;
        if let Some((entries, strings)) = sections.dynamic(endian, bytes)? {
            let strings = sections.strings(endian, bytes, strings)?;
            for entry in entries
                .iter()
                .filter(|entry| entry.tag32(endian) == Some(DT_NEEDED))
            {
                let name = entry.string(endian, strings).unwrap_or_default();
                elf.needed.push(String::from_utf8_lossy(name).into_owned());
            }
        }
        elf.is_go = sections.section_by_name(endian, b".go.buildinfo").is_some()
            || sections
                .section_by_name(endian, b".note.go.buildid")
                .is_some();
        let file = object::read::elf::ElfFile64::<Endianness>::parse(bytes)?;
        for symbol in file.dynamic_symbols() {
            let Ok(name) = symbol.name() else { continue };
            let into = match symbol.is_undefined() {
                true => &mut elf.imports,
                false => &mut elf.exports,
            };
            into.insert(name.to_owned());
        }
        elf.mentions = WORDS
            .into_iter()
            .filter(|word| contains(bytes, word.as_bytes()))
            .collect();
        Ok(elf)
    }

    /// Whether nothing is linked when it starts.
    pub fn is_static(&self) -> bool {
        self.interpreter.is_none()
    }

    /// The C library, by the name of the dynamic linker.
    pub fn c_library(&self) -> &'static str {
        let path = self.interpreter.as_deref().unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or_default();
        match name {
            _ if name.starts_with("ld-linux") || name.starts_with("ld64.so") => "glibc",
            _ if name.starts_with("ld-musl") => "musl",
            _ if name.starts_with("ld-uClibc") => "uClibc",
            _ if name.starts_with("linker") => "Android's C library",
            _ => "an unknown C library",
        }
    }
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    // By the first byte, for programs may be large.
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == word[0]) {
        rest = &rest[at..];
        if rest.starts_with(word) {
            return true;
        }
        rest = &rest[1..];
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn this_program_is_understood() {
        let elf = Elf::parse(&std::fs::read("/proc/self/exe").unwrap()).unwrap();
        assert!(elf.is_own_processor && !elf.is_static() && !elf.is_go);
        assert_eq!(elf.c_library(), "glibc");
        assert!(
            elf.needed.iter().any(|name| name == "libc.so.6"),
            "{:?}",
            elf.needed
        );
        assert!(elf.imports.contains("write"), "{:?}", elf.imports);
        assert!(Elf::parse(b"#!/bin/sh").is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// Without it, a damaged file could end whoever looks at it.
        #[test]
        fn a_file_that_is_wrong_somewhere_is_survived(
            changes in prop::collection::vec((0usize..8192, any::<[u8; 8]>()), 1..6),
        ) {
            let mut bytes = std::fs::read("/bin/true").unwrap();
            for (at, with) in changes {
                let at = at.min(bytes.len() - 8);
                bytes[at..at + 8].copy_from_slice(&with);
            }
            let _ = Elf::parse(&bytes);
        }
    }
}
