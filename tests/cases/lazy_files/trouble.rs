//! Files that change while they are sent, descriptors that run out, a helper that dies.

use super::*;

/// Files are replaced, removed and cut.
pub(super) fn changes(way: Way) -> Result {
    let root = fresh_dir("documents")?;
    let path = |name: &str| root.join(name);
    docroot::write(&root, "a.html", 5_000)?;
    docroot::write(&root, "large.bin", LARGE)?;
    let server = way.start(&root)?;
    let mut connection = Connection::open(server.address)?;
    ensure!(
        get(&mut connection, "/a.html")?.body.len() == 5_000,
        "a.html"
    );
    // Another one takes its place, is written over, and goes; all in the end is seen.
    docroot::write(&root, "b.html", 6_000)?;
    fs::rename(path("b.html"), path("a.html"))?;
    let b = docroot::content("b.html", 6_000);
    eventually("the file that took its place", || {
        Ok(get(&mut connection, "/a.html")?.body == b)
    })?;
    fs::write(path("a.html"), b"short")?;
    eventually("what was written over it", || {
        // In between its length may be known, but not that there is less: then the connection ends.
        let mut connection = Connection::open(server.address)?;
        connection.send(&request("GET", "/a.html", "h", "Connection: close\r\n"))?;
        let answer = connection.rest();
        let answer = String::from_utf8_lossy(&answer);
        Ok(answer.contains("Content-Length: 5\r\n") && answer.ends_with("\r\n\r\nshort"))
    })?;
    fs::remove_file(path("a.html"))?;
    eventually("that it has gone", || {
        Ok(get(&mut connection, "/a.html")?.status == 404)
    })?;
    // It shrinks under the eyes of a client, which must not take what it has for all.
    connection.send(&request("GET", "/large.bin", "h", ""))?;
    connection.taste(1000)?;
    fs::File::options()
        .write(true)
        .open(path("large.bin"))?
        .set_len(1_000_000)?;
    let got = connection.rest();
    ensure!(
        got.len() < LARGE,
        "{} bytes of a file that has become shorter",
        got.len()
    );
    eventually("its new length", || {
        let mut connection = Connection::open(server.address)?;
        connection.send(&request("GET", "/large.bin", "h", "Connection: close\r\n"))?;
        let got = connection.rest();
        Ok(got.ends_with(&docroot::content("large.bin", 1_000_000)) && got.len() < 1_001_000)
    })?;
    stop(server)
}

/// More clients than descriptors: some wait, none is turned away, and all are served when others have gone.
pub(super) fn exhaustion(way: Way) -> Result {
    let root = fresh_dir("documents")?;
    for number in 0..30 {
        docroot::write(&root, &format!("s{number}.html"), 3_000 + number)?;
    }
    let server = way.start_limited(&root, Some(100))?;
    let target = |number: usize| format!("/s{}.html", number % 30);
    let right = |response: &Response, number: usize| {
        let name = format!("s{}.html", number % 30);
        response.body == docroot::content(&name, 3_000 + number % 30)
    };
    let mut connection = Connection::open(server.address)?;
    for number in 0..30 {
        ensure!(
            right(&get(&mut connection, &target(number))?, number),
            "{}",
            target(number)
        );
    }
    let mut waiting = Vec::new();
    for number in 0..150 {
        let mut connection = Connection::open(server.address)?;
        connection.send(&request("GET", &target(number), "h", ""))?;
        waiting.push(connection);
    }
    // Whoever is served goes, and makes room. One that finds no descriptor for its file is told so.
    let mut served = 0;
    for (number, mut connection) in waiting.into_iter().enumerate() {
        let response = connection
            .response(false)
            .with_context(|| format!("client {number}"))?;
        ensure!(
            right(&response, number) || response.status == 503,
            "client {number}: {response:?}"
        );
        served += usize::from(response.status == 200);
    }
    ensure!(served > 50, "only {served} clients were served");
    ensure!(
        right(&get(&mut connection, "/s7.html")?, 7),
        "after all that"
    );
    stop(server)
}

/// A helper process that dies is replaced, whatever it was doing.
pub(super) fn helper_dies() -> Result {
    let root = fresh_dir("documents")?;
    docroot::write(&root, "a.html", 5_000)?;
    let server = WAYS[4].start(&root)?;
    let before = descriptors(server.pid())?;
    let helpers = server.children()?;
    ensure!(helpers.len() == 8, "{} helpers", helpers.len());
    for pid in &helpers {
        // SAFETY: a child of the server, which runs.
        unsafe { libc::kill(*pid as libc::pid_t, libc::SIGKILL) };
    }
    let a = docroot::content("a.html", 5_000);
    for number in 0..50 {
        let mut connection = Connection::open(server.address)?;
        let answer = get(&mut connection, "/a.html")?;
        ensure!(answer.body == a, "request {number}: {answer:?}");
    }
    eventually("there are other helpers", || {
        let now = server.children()?;
        Ok(now.len() == 8 && now.iter().all(|pid| !helpers.contains(pid)))
    })?;
    descriptors_at_most(server.pid(), before + 1)?;
    stop(server)
}
