//! The JSON of the counters, as a JSON Schema.

use super::counters::OTHERS;
use laio_core::stats::{Counter, CLASSES, LOOPS, ROWS, STALL_BOUNDS, VERSION};
use serde_json::{json, Map, Value};

/// Groups of counters that are written under their names. Times stand beside them.
const GROUPS: [&str; 5] = ["lanes", "reasons", "tls", "http2", "jobs"];

/// The document.
pub fn document() -> String {
    let mut text = serde_json::to_string_pretty(&schema()).unwrap_or_default();
    text.push('\n');
    text
}

fn schema() -> Value {
    let mut fields = Map::new();
    fields.insert("version".into(), json!({ "const": VERSION }));
    fields.insert("pid".into(), number());
    fields.insert("program".into(), text());
    fields.insert(
        "mode".into(),
        json!({ "enum": ["on", "observe", "off", "unknown"] }),
    );
    for group in GROUPS {
        fields.insert(group.into(), counters(group));
    }
    for (name, of) in [
        ("stall_time_ns", number()),
        ("ungated_time_ns", number()),
        ("stalls", list(blocked(), ROWS)),
        ("ungated_calls", list(blocked(), ROWS)),
        ("observed", observed()),
        ("library", text()),
        ("state", text()),
        ("settings", json!({ "type": "array", "items": text() })),
        ("refused", json!({ "type": "array", "items": text() })),
        ("stall_times", list(number(), STALL_BOUNDS.len() + 1)),
        ("loops", list(event_loop(), LOOPS)),
    ] {
        fields.insert(name.into(), of);
    }
    for (name, meaning) in OTHERS {
        if let Some(field) = fields.get_mut(*name) {
            field["description"] = json!(meaning);
        }
    }
    // These are left out where there is nothing to say.
    let optional = ["observed", "settings", "refused", "loops"];
    let required = fields
        .keys()
        .filter(|name| !optional.contains(&name.as_str()));
    let required: Vec<_> = required.cloned().collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Counters of liblaio in one process",
        "description": "What `laio stats --json` and LAIO_STATS write. Fields may be added; those that are there stay as they are while `version` does.",
        "type": "object",
        "properties": fields,
        "required": required,
    })
}

fn number() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn list(of: Value, most: usize) -> Value {
    json!({ "type": "array", "items": of, "maxItems": most })
}

/// An object that has all of these fields.
fn record(fields: &[(&str, Value)]) -> Value {
    let names: Vec<_> = fields.iter().map(|(name, _)| *name).collect();
    let fields = fields
        .iter()
        .map(|(name, of)| ((*name).to_owned(), of.clone()));
    json!({ "type": "object", "properties": fields.collect::<Map<_, _>>(), "required": names })
}

/// The same, of numbers.
fn numbers(names: &[&'static str]) -> impl Iterator<Item = (&'static str, Value)> {
    names
        .iter()
        .map(|name| (*name, number()))
        .collect::<Vec<_>>()
        .into_iter()
}

fn counters(group: &str) -> Value {
    let these = Counter::ALL
        .iter()
        .filter(|counter| counter.label().0 == group);
    let fields = these.map(|counter| {
        let described =
            json!({ "type": "integer", "minimum": 0, "description": counter.meaning() });
        (counter.label().1, described)
    });
    record(&fields.collect::<Vec<_>>())
}

fn blocked() -> Value {
    let texts = ["call", "path"].map(|name| (name, text()));
    let all = texts
        .into_iter()
        .chain(numbers(&["count", "total_us", "max_us"]));
    record(&all.collect::<Vec<_>>())
}

fn event_loop() -> Value {
    let names = [
        "number",
        "held",
        "oldest_ms",
        "rules",
        "requests",
        "request_gate",
        "body_gate",
        "stalls",
        "stall_time_ns",
        "ungated_time_ns",
        "reads",
        "tls_reads",
        "http2_reads",
    ];
    let armed = [("armed", json!({ "type": "boolean" }))];
    record(&armed.into_iter().chain(numbers(&names)).collect::<Vec<_>>())
}

fn observed() -> Value {
    let of = |texts: &[&'static str], names: &[&'static str], stack: bool| {
        let texts = texts.iter().map(|name| (*name, text()));
        let stack = stack.then(|| ("stack", json!({ "type": "array", "items": number() })));
        record(&texts.chain(numbers(names)).chain(stack).collect::<Vec<_>>())
    };
    let sums = ["count", "total_ns", "max_ns", "gateable", "gateable_ns"];
    let directory = ["count", "total_ns", "max_ns", "inherited_ns"];
    let stack = ["count", "total_ns", "inherited_ns"];
    let all = |of: Value| json!({ "type": "array", "items": of });
    record(&[
        ("calls", all(of(&["call"], &sums, false))),
        ("times", list(number(), CLASSES)),
        ("iterations", list(number(), CLASSES)),
        ("waited", list(number(), CLASSES)),
        ("directories", all(of(&["path"], &directory, false))),
        (
            "worst",
            all(of(&["call", "path", "target"], &["at_ms", "ns"], true)),
        ),
        ("stacks", all(of(&["call"], &stack, true))),
    ])
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_document_is_what_the_code_says() {
        let file = include_str!("../../../../docs/stats.schema.json");
        assert!(file == super::document(), "run scripts/generate-docs");
    }
}
