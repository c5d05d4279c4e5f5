//! Draws the view into a frame. Plain text in fixed columns: it works at 80×24, over ssh, and without colours.

use super::graph::Node;
use super::style::Palette;
use super::verbs::Verb;
use super::view::{Link, Log, Mode, View};
use crate::output::{age, word};
use jiff::Timestamp;
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// Below this nothing useful fits.
const SMALLEST: (u16, u16) = (40, 8);
/// Spaces for each level of the graph, and how many levels are shown so.
const INDENT: (usize, usize) = (2, 8);
/// Widths of the columns state, attempt and time.
const COLUMNS: [usize; 3] = [9, 2, 5];
const KEYS: &str = "h hold u release r/R rerun s skip c confirm k kill l log / filter ? help q quit";
const ENDED_KEYS: &str = "a replay A replay from this step l log / filter ? help q quit";
const MOVES: [(&str, &str); 6] = [
    ("Up Down PgUp PgDn", "move; Home and End: to the ends"),
    ("Tab", "to the next step that waits for a person"),
    ("l  Enter", "the log of the newest attempt"),
    ("/", "show only steps with this in name, state or note; Esc: all"),
    ("?", "this page"),
    ("q  Ctrl-C", "leave; nothing of the operation changes"),
];

/// Draws everything; sets how many lines fit.
pub fn draw(frame: &mut Frame<'_>, view: &mut View, palette: Palette, now: Timestamp) {
    let area = frame.area();
    let buffer = frame.buffer_mut();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        put(buffer, area, 0, 0, &format!("needs {}x{}", SMALLEST.0, SMALLEST.1), Style::new());
        return;
    }
    match &view.mode {
        Mode::Help => return help(buffer, area),
        Mode::Log(log) => {
            view.page = usize::from(area.height) - 2;
            return read(buffer, area, log);
        }
        _ => {}
    }
    let panel = panel(view, usize::from(area.height) / 2);
    let list = usize::from(area.height) - 5 - panel.len();
    view.page = list;
    view.scroll();
    head(buffer, area, view, palette, now);
    steps(buffer, area, view, palette, now, list);
    let first = area.height - 2 - rows(panel.len());
    for (at, line) in panel.iter().enumerate() {
        let style = if at == 0 { Palette::heading() } else { Style::new() };
        put(buffer, area, 0, first + rows(at), line, style);
    }
    put(buffer, area, 0, area.height - 2, &status(view), palette.alert());
    let keys = if view.operation.done { ENDED_KEYS } else { KEYS };
    put(buffer, area, 0, area.height - 1, keys, Style::new());
}

fn rows(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

/// Writes one line, cut at the right edge. Control characters are left out by the buffer.
fn put(buffer: &mut Buffer, area: Rect, x: u16, y: u16, text: &str, style: Style) {
    if x < area.width && y < area.height {
        buffer.set_stringn(area.x + x, area.y + y, text, usize::from(area.width - x), style);
    }
}

fn head(buffer: &mut Buffer, area: Rect, view: &View, palette: Palette, now: Timestamp) {
    let operation = &view.operation;
    let of = match (&operation.tenant, &operation.environment_name) {
        (Some(tenant), Some(name)) => format!("{tenant}/{name}"),
        _ => operation.environment.to_string(),
    };
    let title = format!("{} {of}  ", operation.name);
    put(buffer, area, 0, 0, &title, Palette::heading());
    let state = word(&operation.state);
    let at = title.chars().count();
    put(buffer, area, rows(at), 0, &state, palette.operation(operation.state));
    if let Some(note) = &operation.note {
        put(buffer, area, rows(at + state.len() + 2), 0, note, Style::new());
    }
    if let Some(from) = operation.started_at {
        let took = age(from, operation.ended_at.unwrap_or(now));
        put(buffer, area, area.width - rows(took.len() + 1), 0, &format!(" {took}"), Palette::heading());
    }
    match &view.link {
        Link::Lost(why) => {
            put(
                buffer,
                area,
                0,
                1,
                &format!("connecting again, what is shown is old: {why}"),
                palette.alert(),
            );
        }
        Link::Live => put(buffer, area, 0, 1, &format!("{}  {}", operation.id, counts(view)), Style::new()),
    }
}

fn counts(view: &View) -> String {
    let count = |is: fn(&Node) -> bool| view.nodes.iter().filter(|node| is(node)).count();
    let mut text = format!("{}/{} done", count(|node| node.state.is_done()), view.nodes.len());
    for (number, what) in [
        (count(|node| node.waiting), "to decide"),
        (count(|node| node.held), "held"),
        (count(|node| node.unknown_since.is_some()), "unknown"),
    ] {
        if number > 0 {
            text.push_str(&format!("  {number} {what}"));
        }
    }
    text
}

/// Columns: flags, name, state, attempt, time, note. The name takes what it needs, up to half of the width.
fn steps(buffer: &mut Buffer, area: Rect, view: &View, palette: Palette, now: Timestamp, list: usize) {
    let indented = |node: &Node| INDENT.0 * node.level.min(INDENT.1);
    let longest = view.nodes.iter().map(|node| indented(node) + node.path.len()).max().unwrap_or(4);
    let name = longest.clamp(8, (usize::from(area.width) / 2).saturating_sub(2));
    let [state, attempt, time] = COLUMNS;
    let line = |flags: &str, path: &str, cells: [&str; 3], note: &str| {
        let [a, b, c] = cells;
        format!("{flags:<3}{path:<name$} {a:<state$} {b:>attempt$} {c:>time$}  {note}")
    };
    let heading = line("", "step", ["state", "#", "time"], "why");
    put(buffer, area, 0, 2, &heading, Palette::heading());
    if view.shown.is_empty() {
        let why = if view.nodes.is_empty() { "no steps yet" } else { "no step matches the filter" };
        put(buffer, area, 3, 3, why, Style::new());
    }
    for (y, (at, place)) in view.shown.iter().enumerate().skip(view.top).take(list).enumerate() {
        let node = &view.nodes[*place];
        let flags: String =
            [(node.waiting, '!'), (node.unknown_since.is_some(), '?'), (node.held, 'H'), (node.stale, 'S')]
                .into_iter()
                .filter_map(|(is, flag)| is.then_some(flag))
                .take(2)
                .collect();
        let path = shorten(&format!("{:1$}{2}", "", indented(node), node.path), name);
        let number = if node.attempt > 0 { node.attempt.to_string() } else { String::new() };
        let took = node.started_at.map(|from| age(from, node.ended_at.unwrap_or(now))).unwrap_or_default();
        let why = match node.unknown_since {
            Some(since) => format!("unknown for {}, {}", age(since, now), node.note),
            None => node.note.clone(),
        };
        let text = line(&flags, &path, [&word(&node.state), &number, &took], why.trim_end_matches(", "));
        let mut style = palette.step(node.state, node.waiting);
        if node.held && !node.waiting {
            style = style.patch(palette.held());
        }
        if at == view.selected {
            // To the right edge, so that it is seen without colours.
            let width = usize::from(area.width);
            put(buffer, area, 0, rows(y + 3), &format!("{text:<width$}"), style.patch(Palette::selected()));
        } else {
            put(buffer, area, 0, rows(y + 3), &text, style);
        }
    }
}

/// Names differ at their ends: the beginning gives way.
fn shorten(text: &str, width: usize) -> String {
    let count = text.chars().count();
    if count <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().skip(count + 2 - width).collect();
    format!("..{kept}")
}

/// What is asked, above the last two lines.
fn panel(view: &View, most: usize) -> Vec<String> {
    let title = |intent: &super::view::Intent| match &intent.step {
        Some(step) => format!("{} {}", intent.verb.word(), step.path()),
        None => format!("{} {}", intent.verb.word(), view.operation.name),
    };
    match &view.mode {
        Mode::Ask(ask) if ask.outputs => vec![
            title(&ask.intent),
            format!("outputs (KEY=VALUE ..., may be empty): {}_", ask.text),
            "Enter: what would happen   Esc: leave it".to_owned(),
        ],
        Mode::Ask(ask) => vec![
            title(&ask.intent),
            format!(
                "reason{}: {}_",
                if ask.intent.verb.needs_reason() { "" } else { " (may be empty)" },
                ask.text
            ),
            "Enter: what would happen   Esc: leave it".to_owned(),
        ],
        Mode::Busy(intent) => vec![title(intent), "asking the manager".to_owned()],
        Mode::Sure(intent, lines) => {
            let mut panel = vec![format!("{}: this would happen", title(intent))];
            let room = most.saturating_sub(3).max(1);
            panel.extend(lines.iter().take(room).map(|line| format!("  {line}")));
            if lines.len() > room {
                panel.push(format!("  and {} more", lines.len() - room));
            }
            panel.push("y: do it   n: leave it".to_owned());
            panel
        }
        Mode::Graph | Mode::Filter | Mode::Help | Mode::Log(_) => Vec::new(),
    }
}

fn status(view: &View) -> String {
    if view.mode == Mode::Filter {
        return format!("/{}_", view.filter);
    }
    let filter = match view.filter.as_str() {
        "" => String::new(),
        filter => format!("filter {filter:?}: {} of {} steps  ", view.shown.len(), view.nodes.len()),
    };
    let ended = if view.operation.done { "  the operation has ended: q leaves" } else { "" };
    format!("{filter}{}{ended}", view.message).trim_start().to_owned()
}

fn help(buffer: &mut Buffer, area: Rect) {
    put(
        buffer,
        area,
        0,
        0,
        "Verbs ask for a reason and show what would happen before they act.",
        Palette::heading(),
    );
    let verbs =
        Verb::ALL.iter().map(|verb| (verb.key().to_string(), format!("{}: {}", verb.word(), verb.help())));
    let moves = MOVES.iter().map(|(keys, help)| ((*keys).to_owned(), (*help).to_owned()));
    for (y, (key, text)) in verbs.chain(moves).enumerate() {
        put(buffer, area, 0, rows(y + 1), &format!("{key:>18}  {text}"), Style::new());
    }
    put(buffer, area, 0, 22, "Flags: ! waits for a person  ? unknown  H held  S stale", Style::new());
    put(buffer, area, 0, area.height - 1, "any key: back", Palette::heading());
}

fn read(buffer: &mut Buffer, area: Rect, log: &Log) {
    let room = usize::from(area.height) - 2;
    let more = if log.complete { "" } else { "  (goes on)" };
    put(buffer, area, 0, 0, &format!("{}{more}", log.title), Palette::heading());
    let end = log.lines.len().saturating_sub(log.back);
    let from = end.saturating_sub(room);
    for (y, line) in log.lines.range(from..end.max(from)).enumerate() {
        put(buffer, area, 0, rows(y + 1), line, Style::new());
    }
    if log.lines.is_empty() {
        put(buffer, area, 0, 1, "it has written nothing so far", Style::new());
    }
    put(buffer, area, 0, area.height - 1, "Up Down PgUp PgDn Home End: move   q: back", Palette::heading());
}
