//! What is measured: sections, and in each the configurations that are compared.

mod configuration;
mod program;
mod section;

pub use configuration::{Configuration, Scheme, ServerSpec, Variant};
pub use program::{Program, Strategy};
pub use section::{Part, Section};

/// The configurations that a part of a section compares.
pub fn configurations(part: Part) -> Vec<Configuration> {
    use Program::{Lighttpd, Merecat, Nginx, NginxCache, NginxPread};
    use Variant::{AioThreads, Floor, Laio, Stock, Workers16};
    match part.of {
        // Beside cold traffic a stock server's cached clients wait as the cold ones do.
        Section::Servers => match part.section {
            Section::Mixed => of(&Program::OTHERS, &[Laio, Floor]),
            _ => of(&Program::OTHERS, &[Stock, Laio]),
        },
        Section::Caches => match part.section {
            Section::Mixed => of(&[NginxCache], &[AioThreads, Workers16, Laio, Floor]),
            _ => of(&[NginxCache], &[Stock, Laio, AioThreads, Workers16]),
        },
        Section::Pools => of(&Program::OF_POOLS, &[Stock, Laio]),
        Section::Readers => of(&Program::READERS, &[Stock, Laio]),
        Section::Senders => of(&Program::SENDERS, &[Stock, Laio]),
        Section::Tls => over_tls(part.section),
        Section::Http2 => over_http2(part.section),
        Section::Cold => [
            of(&[Lighttpd], &[Stock, Laio]),
            of(&[Nginx], &[Stock, Laio, AioThreads, Workers16]),
        ]
        .concat(),
        Section::Mixed => [
            of(&[Lighttpd], &[Stock, Laio, Floor]),
            of(&[Nginx], &[Stock, AioThreads, Workers16, Laio, Floor]),
        ]
        .concat(),
        Section::Deep => of(&[Nginx], &[AioThreads, Workers16, Laio, Floor]),
        Section::Fast
        | Section::Cpu
        | Section::Armed
        | Section::Handshakes
        | Section::Syscalls
        | Section::Overlay
        | Section::Fuse => of(&Program::MAIN, &[Stock, Laio]),
        Section::Bodies | Section::BodiesLocal => [
            of(&[Lighttpd], &[Stock, Laio]),
            of(&[Nginx, NginxPread], &[Stock, Laio, AioThreads, Workers16]),
            of(&[Merecat], &[Stock, Laio]),
        ]
        .concat(),
        // Not merecat: it sums up each mapping, and sleeps for a second where a client takes no more.
        Section::BodiesMixed => of(&[Lighttpd, Nginx, NginxPread], &[Laio, Floor]),
        Section::BodiesCpu => of(&[Lighttpd, Nginx, NginxPread], &[Stock, Laio]),
        Section::Hung => of(&[Nginx], &[Stock, Laio, Floor]),
        Section::Local => of(&[Nginx], &[Stock, AioThreads, Laio]),
        Section::Flat | Section::Faults => of(&Program::MAIN, &[Laio]),
        // They are parts only.
        Section::ColdClear | Section::Own | Section::Page => Vec::new(),
    }
}

fn over_tls(section: Section) -> Vec<Configuration> {
    use Variant::{AioThreads, Floor, Laio, Stock, Workers16};
    let variants = |program| match (section, program) {
        (Section::Mixed, Program::Nginx) => &[Stock, AioThreads, Workers16, Laio, Floor][..],
        (Section::Mixed, _) => &[Laio, Floor],
        (Section::Cold | Section::Bodies, Program::Nginx) => &[Stock, Laio, AioThreads, Workers16],
        _ => &[Stock, Laio],
    };
    Program::OVER_TLS
        .into_iter()
        .flat_map(|program| of(&[program], variants(program)))
        .map(|configuration| configuration.over(Scheme::Https))
        .collect()
}

fn over_http2(section: Section) -> Vec<Configuration> {
    use Variant::{Floor, Laio, Stock};
    let (programs, scheme) = match section {
        Section::ColdClear => (&Program::OVER_H2C[..], Scheme::H2c),
        Section::Page => (&[Program::Nginx][..], Scheme::Http2),
        _ => (&Program::OVER_HTTP2[..], Scheme::Http2),
    };
    let variants = |program| match (section, program) {
        (Section::Mixed, Program::Nginx) => &[Stock, Laio, Floor][..],
        (Section::Mixed, _) => &[Laio, Floor],
        _ => &[Stock, Laio],
    };
    programs
        .iter()
        .flat_map(|program| of(&[*program], variants(*program)))
        .map(|configuration| configuration.over(scheme))
        .collect()
}

fn of(programs: &[Program], variants: &[Variant]) -> Vec<Configuration> {
    let each = |program: &Program| {
        let program = *program;
        variants
            .iter()
            .map(move |variant| Configuration::new(program, *variant))
    };
    programs.iter().flat_map(each).collect()
}
