//! An observation as one page that needs nothing else: text, bars, and a flame graph of whose calls blocked.

use super::facts::{part, Facts};
use super::text;
use super::verdict::shown;
use crate::format::{count, share};
use crate::report::Style;
use anyhow::{anyhow, Result};
use inferno::flamegraph::{from_lines, Options};
use std::fmt::Write as _;

const HEAD: &str = "<!DOCTYPE html>
<html lang=\"en\"><head><meta charset=\"utf-8\"><title>laio observe</title><style>
body { font: 15px/1.5 sans-serif; max-width: 1240px; margin: 2em auto; padding: 0 1em; color: #222; }
pre { background: #f5f5f2; padding: 1em; overflow-x: auto; }
table { border-collapse: collapse; } td, th { padding: 1px 10px 1px 0; text-align: left; vertical-align: top; }
td.number, th.number { text-align: right; white-space: nowrap; }
td.bar { width: 320px; } td.bar div { background: #c8642a; height: 12px; margin-top: 5px; }
.verdict { font-weight: bold; font-size: 17px; border-left: 5px solid #c8642a; padding-left: .7em; }
</style></head><body>
";

/// The page.
pub fn page(facts: &[Facts]) -> Result<String> {
    let mut page = HEAD.to_owned();
    for each in facts {
        one(&mut page, each)?;
    }
    page += "</body></html>\n";
    Ok(page)
}

fn one(page: &mut String, facts: &Facts) -> Result<()> {
    let _ = write!(
        page,
        "<h1>{}</h1>\n<p class=\"verdict\">{}</p>\n<pre>{}</pre>\n",
        escaped(&text::title(facts)),
        escaped(&facts.verdict.text),
        escaped(&text::text(facts, Style::plain(100)))
    );
    let calls = facts
        .calls
        .iter()
        .map(|sum| (sum.call.clone(), sum.count, sum.total_ns));
    table(page, "By call", facts.blocked_ns, calls);
    let sure = |total: u64, inherited: u64| total.saturating_sub(inherited);
    let directories = facts.directories.iter().map(|row| {
        (
            row.path.clone(),
            row.count,
            sure(row.total_ns, row.inherited_ns),
        )
    });
    table(page, "By directory", facts.blocked_ns, directories);
    let files = facts.files.iter().map(|row| {
        (
            format!("{} {}", row.call, row.path),
            row.count,
            row.total_us.saturating_mul(1000),
        )
    });
    table(page, "By file", facts.blocked_ns, files);
    histogram(page, "Stalls by how long they took", &facts.times);
    histogram(page, "Iterations of the event loop", &facts.iterations);
    if !facts.worst.is_empty() {
        *page += "<h2>The worst</h2><table>";
        for worst in facts.worst.iter().take(10) {
            let calls = worst.stack.iter().rev().map(|name| escaped(name));
            let calls = calls.collect::<Vec<_>>().join(" &lt; ");
            let _ = writeln!(
                page,
                "<tr><td>{}<br><small>{calls}</small></td></tr>",
                escaped(&text::one(worst))
            );
        }
        *page += "</table>\n";
    }
    if !facts.stacks.is_empty() {
        *page += "<h2>Whose calls blocked</h2><p>The wider, the longer; the call that blocked is on top.</p>\n";
        *page += &flame_graph(&facts.folded())?;
    }
    Ok(())
}

fn table(
    page: &mut String,
    title: &str,
    whole: u64,
    rows: impl Iterator<Item = (String, u64, u64)>,
) {
    let mut rows = rows.take(20).peekable();
    if rows.peek().is_none() {
        return;
    }
    let _ = write!(page, "<h2>{title}</h2><table>");
    for (name, times, nanoseconds) in rows {
        let part = part(nanoseconds, whole).min(1.0);
        let cells = [share(part), shown(nanoseconds), count(times)];
        row(page, part, &cells, &name);
    }
    *page += "</table>\n";
}

fn histogram(page: &mut String, title: &str, classes: &[u64]) {
    let most = classes.iter().copied().max().unwrap_or(0);
    let used = |count: &u64| *count > 0;
    let (Some(first), Some(last)) = (
        classes.iter().position(used),
        classes.iter().rposition(used),
    ) else {
        return;
    };
    let _ = write!(page, "<h2>{title}</h2><table>");
    for (class, times) in classes.iter().enumerate().take(last + 1).skip(first) {
        let below = format!("below {}", shown(1 << class));
        row(page, part(*times, most), &[count(*times)], &below);
    }
    *page += "</table>\n";
}

fn row(page: &mut String, part: f64, cells: &[String], name: &str) {
    let _ = write!(
        page,
        "<tr><td class=\"bar\"><div style=\"width: {:.1}%\"></div></td>",
        100.0 * part
    );
    for cell in cells {
        let _ = write!(page, "<td class=\"number\">{cell}</td>");
    }
    let _ = writeln!(page, "<td>{}</td></tr>", escaped(name));
}

/// A picture without a script: several of them on a page would get into each other's way.
fn flame_graph(folded: &str) -> Result<String> {
    let mut options = Options::default();
    options.no_javascript = true;
    options.title = String::new();
    options.count_name = "us".to_owned();
    let mut picture = Vec::new();
    from_lines(&mut options, folded.lines(), &mut picture)
        .map_err(|error| anyhow!("cannot draw the flame graph: {error}"))?;
    let picture = String::from_utf8_lossy(&picture);
    // Within a page it is no document of its own, and what is left of its script has nothing to do.
    let picture = &picture[picture.find("<svg").unwrap_or(0)..];
    let (before, rest) = picture.split_once("<script").unwrap_or((picture, ""));
    let (_, after) = rest.split_once("</script>").unwrap_or_default();
    let before = before.replace(" onload=\"init(evt)\"", "");
    Ok(before + after)
}

fn escaped(text: &str) -> String {
    let signs = [
        ("&", "&amp;"),
        ("<", "&lt;"),
        (">", "&gt;"),
        ("\"", "&quot;"),
    ];
    signs.iter().fold(text.to_owned(), |text, (sign, name)| {
        text.replace(sign, name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without it, whoever names a file could put a script into somebody's report.
    #[test]
    fn names_are_no_markup() {
        let folded = "nginx;main;<script>alert(1)</script>;[open] 5\n";
        let picture = flame_graph(folded).unwrap();
        assert!(
            picture.starts_with("<svg") && !picture.contains("<script"),
            "{picture}"
        );
        assert_eq!(escaped("<a & \"b\">"), "&lt;a &amp; &quot;b&quot;&gt;");
    }
}
