//! How the screen looks.

use super::model::{Line, Model, Sort, Stalled};
use crate::format::{many, rate, share, time};
use crate::process::Standing;
use crate::stats::rates::Rates;
use crate::stats::shortened;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line as Text, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table};
use ratatui::Frame;
use std::time::{Duration, SystemTime};

/// A share of the time that is red.
const MUCH: f64 = 0.05;

const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const DIM: Style = Style::new().add_modifier(Modifier::DIM);

/// Draws it.
pub fn draw(frame: &mut Frame<'_>, model: &Model<'_>) {
    let rows = rows(model);
    let table = u16::try_from(rows.len() + 1).unwrap_or(u16::MAX);
    let [head, _, body, _, recent, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Max(table),
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(Paragraph::new(title(model)), head);
    frame.render_widget(Table::new(rows, WIDTHS).header(heading(model)), body);
    draw_recent(frame, recent, model);
    frame.render_widget(Paragraph::new(keys_line()), keys);
}

fn title(model: &Model<'_>) -> Text<'static> {
    let loops: usize = model.lines.iter().map(Line::loops).sum();
    let mut text = format!(
        "  {}, {}, every {} s",
        many(model.lines.len() as u64, "process", "processes"),
        many(loops as u64, "event loop", "event loops"),
        model.every.as_secs_f64()
    );
    if model.hidden > 0 {
        text += &format!(", {} cannot be read", model.hidden);
    }
    let mut spans = vec![Span::styled("laio top", BOLD), Span::raw(text)];
    if model.is_paused {
        let paused = Style::new().fg(Color::Black).bg(Color::Yellow);
        spans.extend([Span::raw("  "), Span::styled(" paused ", paused)]);
    }
    Text::from(spans)
}

/// Of 80 columns they leave 15 to the first.
const WIDTHS: [Constraint; 11] = [
    Constraint::Fill(1),
    Constraint::Length(9),
    Constraint::Length(6),
    Constraint::Length(6),
    Constraint::Length(4),
    Constraint::Length(5),
    Constraint::Length(7),
    Constraint::Length(7),
    Constraint::Length(4),
    Constraint::Length(4),
    Constraint::Length(3),
];

const COLUMNS: [(&str, Option<Sort>); 11] = [
    ("process", Some(Sort::Process)),
    ("state", None),
    ("req/s", Some(Sort::Requests)),
    ("cold/s", Some(Sort::Cold)),
    ("held", Some(Sort::Held)),
    ("since", None),
    ("stall/s", Some(Sort::Stalls)),
    ("blocked", Some(Sort::Blocked)),
    ("help", None),
    ("tls%", None),
    ("h2%", None),
];

fn heading(model: &Model<'_>) -> Row<'static> {
    let cells = COLUMNS.iter().enumerate().map(|(number, (name, sort))| {
        let style = match *sort == Some(model.sort) {
            true => BOLD.add_modifier(Modifier::UNDERLINED),
            false => BOLD,
        };
        let name = Span::styled(*name, style);
        let text = Text::from(name);
        Cell::from(if number < 2 {
            text
        } else {
            text.right_aligned()
        })
    });
    Row::new(cells)
}

fn rows(model: &Model<'_>) -> Vec<Row<'static>> {
    let each = model.sorted().into_iter().flat_map(|line| {
        let (whole, loops) = line.rates.split_first().into_iter().next().unzip();
        let whole = whole.map(|rates| row(line.name(), rates, Some(line)));
        let loops = loops.filter(|_| model.shows_loops).unwrap_or_default();
        let loops = loops.iter().map(|rates| {
            let number = rates.number.unwrap_or(0);
            row(format!("  loop {number}"), rates, None)
        });
        whole.into_iter().chain(loops)
    });
    each.collect()
}

fn row(name: String, rates: &Rates, line: Option<&Line>) -> Row<'static> {
    let state = match rates.standing {
        Standing::Armed => Style::new().fg(Color::Green),
        Standing::Disarmed | Standing::Waiting => Style::new(),
        Standing::Observing => Style::new().fg(Color::Cyan),
        Standing::Inactive(_) => Style::new().fg(Color::Red),
    };
    let blocked = match rates.blocked > MUCH {
        true => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
        false => Style::new(),
    };
    let oldest = match rates.held {
        0 => "-".to_owned(),
        _ => time(rates.oldest),
    };
    let number = |text: String, style: Style| Cell::from(Text::styled(text, style).right_aligned());
    let plain = Style::new();
    let percent = |part: f64| {
        let share = rates.share_of_reads(part);
        share.map_or_else(|| "-".to_owned(), |share| format!("{:.0}", 100.0 * share))
    };
    Row::new([
        Cell::from(name),
        Cell::from(Span::styled(rates.standing.word(), state)),
        number(rate(rates.requests), plain),
        number(rate(rates.cold), plain),
        number(rates.held.to_string(), plain),
        number(oldest, plain),
        number(rate(rates.stalls), plain),
        number(share(rates.blocked), blocked),
        number(
            line.map_or_else(String::new, |line| line.helpers().to_string()),
            plain,
        ),
        number(percent(rates.by_tls), plain),
        number(percent(rates.by_http2), plain),
    ])
}

fn draw_recent(frame: &mut Frame<'_>, area: Rect, model: &Model<'_>) {
    let mut lines = vec![Text::styled("recent stalls", BOLD)];
    let inactive = model
        .lines
        .iter()
        .find_map(|line| match line.rates.first()?.standing {
            Standing::Inactive(why) => Some(format!("{} is inactive: {why}", line.name())),
            _ => None,
        });
    if model.recent.is_empty() {
        let none = "none since this screen was opened".to_owned();
        lines.push(Text::styled(format!("  {}", inactive.unwrap_or(none)), DIM));
    }
    let width = usize::from(area.width);
    lines.extend(model.recent.iter().map(|stalled| recent(stalled, width)));
    frame.render_widget(Paragraph::new(lines), area);
}

fn recent(stalled: &Stalled, width: usize) -> Text<'static> {
    let times = match stalled.count {
        1 => String::new(),
        count => format!(" x{count}"),
    };
    let before = format!(
        "  {}  {:<15} {:>7}{times:<4} {:<9} ",
        ago(stalled.at),
        stalled.process,
        time(stalled.each),
        stalled.call
    );
    let room = width.saturating_sub(before.chars().count()).max(10);
    Text::from(before + &shortened(&stalled.path, room))
}

fn ago(at: SystemTime) -> String {
    let since = SystemTime::now().duration_since(at).unwrap_or_default();
    let since = Duration::from_secs(since.as_secs());
    let text = match since.as_secs() {
        0 => "now".to_owned(),
        1..60 => format!("{} s ago", since.as_secs()),
        seconds => format!("{} m ago", seconds / 60),
    };
    format!("{text:>8}")
}

fn keys_line() -> Text<'static> {
    let keys = [
        ("q", "quit"),
        ("p", "pause"),
        ("s", "sort"),
        ("r", "reverse"),
        ("l", "loops"),
        ("+ -", "faster, slower"),
    ];
    let spans = keys
        .iter()
        .flat_map(|(key, what)| [Span::styled(*key, BOLD), Span::raw(format!(" {what}   "))]);
    Text::from(spans.collect::<Vec<_>>())
}
