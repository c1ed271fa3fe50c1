//! A document root with everything in it that a helper must not touch, and the targets that name it.

use anyhow::Context as _;
use laio_tests::http::request;
use laio_tests::{docroot, Result};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{symlink, DirBuilderExt as _};
use std::path::Path;

pub const GOOD: usize = 160;

pub fn good(number: usize) -> String {
    format!("dir{}/good-{number}.html", number % 3)
}

/// A document root with everything in it that a helper must not touch, and a neighbour that it must not reach.
pub fn write_site(root: &Path) -> Result {
    let documents = root.join("documents");
    for number in 0..GOOD {
        docroot::write(&documents, &good(number), 3000)?;
    }
    for number in 0..40 {
        docroot::write(root, &format!("secret/s{number}.html"), 3000)?;
        docroot::write(root, &format!("documents-too/s{number}.html"), 3000)?;
        symlink(
            root.join(format!("secret/s{number}.html")),
            documents.join(format!("dir0/out{number}.html")),
        )?;
        symlink(
            format!("../../secret/s{number}.html"),
            documents.join(format!("dir0/up{number}.html")),
        )?;
        let fifo = CString::new(
            documents
                .join(format!("dir0/fifo{number}.html"))
                .as_os_str()
                .as_bytes(),
        )?;
        let device = CString::new(
            documents
                .join(format!("dir0/device{number}.html"))
                .as_os_str()
                .as_bytes(),
        )?;
        // SAFETY: both are NUL-terminated strings that live across the calls.
        let made = unsafe {
            libc::mkfifo(fifo.as_ptr(), 0o644) == 0
                && libc::mknod(device.as_ptr(), libc::S_IFCHR | 0o666, libc::makedev(1, 5)) == 0
        };
        if !made {
            return Err(std::io::Error::last_os_error()).context("a FIFO and a device");
        }
        std::fs::DirBuilder::new()
            .mode(0o755)
            .create(documents.join(format!("dir0/directory{number}.html")))?;
    }
    symlink(root.join("secret"), documents.join("way-out"))?;
    symlink("/etc", documents.join("etc"))?;
    symlink("loop", documents.join("loop"))?;
    symlink("/proc/self/fd", documents.join("fds"))?;
    Ok(())
}

/// Requests that mean harm; `n` keeps them from being warm.
pub fn hostile(n: usize) -> Vec<Vec<u8>> {
    let get = |target: &str| request("GET", target, "h", "");
    let long = "a".repeat(10_000);
    let deep = "/d".repeat(3000);
    let climb = "/..".repeat(40);
    let mut all: Vec<Vec<u8>> = [
        format!("/../secret/s{n}.html"),
        format!("/dir0/../../secret/s{n}.html"),
        format!("/dir0/..%2f..%2fsecret%2fs{n}.html"),
        format!("/%2e%2e/secret/s{n}.html"),
        format!("/dir0/%2e%2e/%2E%2E/secret/s{n}.html"),
        format!("/dir0/.%2e/.%2e/secret/s{n}.html"),
        format!("/%252e%252e/secret/s{n}.html"),
        format!("/dir0/..\\..\\secret\\s{n}.html"),
        format!("/..;/secret/s{n}.html"),
        format!("{climb}/etc/passwd"),
        format!("//etc/passwd?{n}"),
        format!("/%2fetc%2fpasswd?{n}"),
        format!("/-too/s{n}.html"),
        format!("/../documents-too/s{n}.html"),
        format!("/dir0/good-0.html%00.png?{n}"),
        format!("/%00/s{n}.html"),
        format!("/dir0/good-{n}.html%00"),
        format!("/dir0/good-{n}.html%"),
        format!("/dir0/good-{n}.html%4"),
        format!("/dir0/good-{n}.html%zz"),
        format!("/dir0/%c0%ae%c0%ae/s{n}.html"),
        format!("/dir0/%ff%fe{n}"),
        format!("/{long}{n}"),
        format!("/{}{n}", &long[..4000]),
        format!("/{}{n}.html", &long[..255]),
        format!("{deep}/{n}"),
        format!("/dir0/fifo{n}.html"),
        format!("/dir0/device{n}.html"),
        format!("/dir0/directory{n}.html"),
        format!("/dir0/directory{n}.html/"),
        format!("/dir0/out{n}.html"),
        format!("/dir0/up{n}.html"),
        format!("/way-out/s{n}.html"),
        format!("/etc/passwd?{n}"),
        "/etc/".into(),
        "/loop/x".into(),
        format!("/fds/{n}"),
        format!("http://h/dir0/out{n}.html"),
        format!("http://other/../secret/s{n}.html"),
        format!("http://h:99999/%2e%2e/secret/s{n}.html"),
        format!("file:///etc/passwd?{n}"),
        format!("*{n}"),
        format!("secret/s{n}.html"),
        format!("/dir0/./././good-{n}.html/../../../secret/s{n}.html"),
    ]
    .iter()
    .map(|target| get(target))
    .collect();
    all.push(request(
        "GET",
        &format!("/dir1/good-{n}.html"),
        &"h".repeat(5000),
        "",
    ));
    all.push(request(
        "GET",
        &format!("/dir1/good-{n}.html"),
        "../secret",
        "",
    ));
    all.push(request("GET", &format!("/dir1/good-{n}.html"), "h\0", ""));
    all.push(request(
        "GET",
        &format!("/dir1/good-{n}.html"),
        "h",
        "Range: bytes=18446744073709551615-18446744073709551616\r\n",
    ));
    all.push(request(
        "GET",
        &format!("/dir1/good-{n}.html"),
        "h",
        "Range: bytes=-99999999999999999999\r\n",
    ));
    all.push(request(
        "GET",
        &format!("/dir1/good-{n}.html"),
        "h",
        "Range: bytes=5-2,,,-,1-\r\n",
    ));
    all.push(b"GET\r\n\r\n".to_vec());
    all.push(b"GET  HTTP/1.1\r\n\r\n".to_vec());
    all.push(b"\r\n\r\n\r\nGET /dir0/fifo0.html\r\n\r\n".to_vec());
    all.push(vec![0; 3000]);
    all.push((0..=255).cycle().take(5000).collect());
    all
}
