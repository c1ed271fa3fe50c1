//! The counters as files: on request, at an interval, at the end of a process; and their schema.

use super::live::serve;
use super::said::{laio, said};
use anyhow::{ensure, Context as _};
use boon::{Compiler, SchemaIndex, Schemas};
use laio_tests::library::fresh_dir;
use laio_tests::program::{compile, observe, Build};
use laio_tests::server::Kind;
use laio_tests::{Preload, Result};
use serde_json::{json, Value};
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The schema, by which no object has other fields than are told.
struct Schema {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Schema {
    fn read() -> Result<Self> {
        let mut schema: Value =
            serde_json::from_str(include_str!("../../../docs/stats.schema.json"))?;
        forbid_others(&mut schema);
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        let added = compiler.add_resource("stats.json", schema);
        added.map_err(|error| anyhow::anyhow!("{error}"))?;
        let index = compiler.compile("stats.json", &mut schemas);
        let index = index.map_err(|error| anyhow::anyhow!("{error}"))?;
        Ok(Self { schemas, index })
    }

    fn check(&self, file: &Path) -> Result<Value> {
        let value: Value = serde_json::from_slice(&fs::read(file)?)?;
        let valid = self.schemas.validate(&value, self.index);
        valid.map_err(|error| anyhow::anyhow!("{}: {error}\n{value}", file.display()))?;
        Ok(value)
    }
}

fn forbid_others(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("properties").is_some_and(Value::is_object) && fields.contains_key("type")
            {
                fields.insert("additionalProperties".into(), json!(false));
            }
            fields.values_mut().for_each(forbid_others);
        }
        Value::Array(items) => items.iter_mut().for_each(forbid_others),
        _ => {}
    }
}

/// Once, again and again, and at the end: each process has a file of its own, which is what the schema says.
pub fn files() -> Result {
    let schema = Schema::read()?;
    let dir = fresh_dir("counters")?;
    let into = dir.to_string_lossy().into_owned();
    let program = compile("early_or_late", Build::Program)?;
    for mode in ["on", "observe"] {
        let preload = Preload::mode(mode)?;
        let server = serve(Kind::Nginx, &preload)?;
        let (master, worker) = (
            server.pid(),
            *server.children()?.first().context("no worker")?,
        );
        let (one, two) = (master.to_string(), worker.to_string());
        let answer = said(&mut laio(&["stats", "--into", &into, &one, &two])?)?;
        ensure!(answer.status == 0, "{}", answer.text());
        for (pid, loops) in [(master, 0), (worker, 1)] {
            let value = schema.check(&dir.join(format!("nginx-{pid}.json")))?;
            let found = value["loops"].as_array().map_or(0, Vec::len);
            ensure!(value["pid"] == pid && found == loops, "{value}");
        }
        server.stop(master, libc::SIGTERM)?;
        // A process's last words, by a name without its number.
        let last = fresh_dir("last")?;
        let preload = preload.with("LAIO_STATS", last.join("stats.json"));
        observe(&program, &["engaged"], &preload)?;
        // It has a child.
        let files: Vec<_> = fs::read_dir(&last)?.collect::<std::io::Result<_>>()?;
        ensure!(files.len() == 2, "{files:?}");
        for file in files {
            let value = schema.check(&file.path())?;
            let name = format!("stats-{}.json", value["pid"]);
            ensure!(
                file.file_name() == *name && value["mode"] == mode,
                "{file:?} {value}"
            );
        }
    }
    let server = serve(Kind::Lighttpd, &Preload::on()?)?;
    let pid = server.pid();
    let file = dir.join(format!("lighttpd-{pid}.json"));
    let mut watching = laio(&["stats", "--into", &into, "--watch=1", &pid.to_string()])?.spawn()?;
    let begin = Instant::now();
    let mut before = None;
    // It is there, and another one after a while.
    loop {
        let written = fs::metadata(&file).and_then(|file| file.modified()).ok();
        match before {
            None => before = written,
            Some(_) if written != before => break,
            Some(_) => {}
        }
        ensure!(
            begin.elapsed() < Duration::from_secs(15),
            "nothing is written"
        );
        sleep(Duration::from_millis(50));
    }
    let nowhere = said(&mut laio(&[
        "stats",
        "--into",
        "/nowhere",
        &pid.to_string(),
    ])?)?;
    ensure!(
        nowhere.status == 3 && nowhere.err.contains("cannot write /nowhere/"),
        "{}",
        nowhere.text()
    );
    server.stop(pid, libc::SIGTERM)?;
    let status = watching.wait()?;
    ensure!(status.success(), "{status}");
    let value = schema.check(&file)?;
    ensure!(
        value["lanes"]["passed_through"].as_u64() > Some(0),
        "{value}"
    );
    Ok(())
}
