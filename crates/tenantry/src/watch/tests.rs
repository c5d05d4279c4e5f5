//! The view as it is drawn, and what its keys do, without a terminal.

use super::keys::{Request, press};
use super::style::Palette;
use super::verbs::Verb;
use super::view::{Link, Log, Mode, View};
use super::{draw, samples};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::{Color, Modifier};
use std::time::{Duration, Instant};

const PLAIN: Palette = Palette { colours: false };

fn screen(view: &mut View, width: u16, height: u16, palette: Palette) -> TestBackend {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let now = "2026-03-03T21:07:30Z".parse().unwrap();
    terminal.draw(|frame| draw::draw(frame, view, palette, now)).unwrap();
    terminal.backend().clone()
}

fn keys(view: &mut View, text: &str) -> Option<Request> {
    let mut last = None;
    for key in text.chars() {
        let code = match key {
            '\n' => KeyCode::Enter,
            '\x1b' => KeyCode::Esc,
            '\t' => KeyCode::Tab,
            key => KeyCode::Char(key),
        };
        last = press(view, KeyEvent::new(code, KeyModifiers::NONE));
    }
    last
}

fn code(view: &mut View, code: KeyCode) -> Option<Request> {
    press(view, KeyEvent::new(code, KeyModifiers::NONE))
}

#[test]
fn a_night_at_eighty_columns() {
    insta::assert_snapshot!(screen(&mut View::new(samples::night()), 80, 24, PLAIN));
}

#[test]
fn a_wide_terminal_has_room_for_reasons() {
    insta::assert_snapshot!(screen(&mut View::new(samples::night()), 120, 14, PLAIN));
}

#[test]
fn the_help_fits_eighty_columns() {
    let mut view = View::new(samples::night());
    keys(&mut view, "?");
    insta::assert_snapshot!(screen(&mut view, 80, 24, PLAIN));
    keys(&mut view, "x");
    assert_eq!(view.mode, Mode::Graph, "any key leads back, and is not a verb");
}

#[test]
fn a_verb_shows_what_it_would_do_before_it_acts() {
    let mut view = View::new(samples::night());
    assert_eq!(keys(&mut view, "R"), None);
    keys(&mut view, "quote repaired");
    let Some(Request::Preview(intent)) = keys(&mut view, "\n") else { panic!("{:?}", view.mode) };
    assert_eq!(intent.verb, Verb::RerunWithSuccessors);
    assert_eq!(intent.step.as_ref().unwrap().to_string(), "eu1/bank/scenario-volatility-up");
    assert_eq!(intent.reason.as_deref(), Some("quote repaired"));
    assert_eq!(intent.expected.as_ref().unwrap().attempt, Some(2));
    assert_eq!(keys(&mut view, "qx\x1b"), None, "what was sent cannot be taken back");

    view.mode = Mode::Sure(intent.clone(), (1..=30).map(|n| format!("step {n} starts again")).collect());
    insta::assert_snapshot!(screen(&mut view, 80, 24, PLAIN));
    assert_eq!(keys(&mut view, "zk"), None, "neither yes nor no");
    assert_eq!(keys(&mut view, "y"), Some(Request::Act(intent)));
}

#[test]
fn escape_leaves_a_question_and_nothing_is_asked() {
    let mut view = View::new(samples::night());
    assert_eq!(keys(&mut view, "kbecause\x1b"), None);
    assert_eq!((view.mode, view.message.as_str()), (Mode::Graph, "kill: nothing was done"));
}

#[test]
fn a_reason_is_asked_for_where_it_is_needed() {
    for verb in Verb::ALL {
        let state = match verb {
            Verb::Resume => "paused",
            Verb::Replay | Verb::ReplayFrom => "succeeded",
            _ => "running",
        };
        let mut view = View::new(samples::operation(
            state,
            &[samples::step("one", &[], "running", &serde_json::json!({"attempt": 1}))],
        ));
        let request = keys(&mut view, &format!("{}  \n", verb.key()));
        if verb.needs_reason() {
            assert_eq!(request, None, "{verb:?}");
            assert!(view.message.ends_with("needs a reason"), "{verb:?}: {}", view.message);
        } else {
            let Some(Request::Preview(intent)) = request else { panic!("{verb:?}: {:?}", view.mode) };
            assert_eq!((intent.verb, intent.reason), (verb, None));
        }
    }
}

#[test]
fn confirm_asks_for_outputs_too() {
    let mut view = View::new(samples::night());
    assert_eq!(keys(&mut view, "cdone on paper\nvar99\n"), None);
    assert_eq!(view.message, "var99: write KEY=VALUE");
    let Some(Request::Preview(intent)) = keys(&mut view, "=12.5 es975=13\n") else {
        panic!("{:?}", view.mode)
    };
    assert_eq!(intent.outputs.len(), 2);
    assert_eq!(intent.outputs["var99"], "12.5");
}

#[test]
fn pause_is_resume_once_it_is_paused() {
    let mut view = View::new(samples::operation("paused", &[]));
    let Some(Request::Preview(intent)) = keys(&mut view, "p\n") else { panic!("{:?}", view.mode) };
    assert_eq!((intent.verb, intent.step), (Verb::Resume, None));
}

#[test]
fn verbs_of_an_operation_that_has_ended_say_so() {
    let mut view = View::new(samples::operation("failed", &[]));
    assert_eq!(keys(&mut view, "x"), None);
    assert_eq!(view.mode, Mode::Graph);
    assert_eq!(view.message, "the operation has ended: nothing to cancel");
}

#[test]
fn an_operation_that_has_ended_can_be_replayed_and_no_other() {
    let step = samples::step("one", &[], "succeeded", &serde_json::json!({"attempt": 1}));
    let mut view = View::new(samples::operation("succeeded", &[step]));
    insta::assert_snapshot!(screen(&mut view, 80, 8, PLAIN));
    for (key, word, from) in [("a", Verb::Replay, None), ("A", Verb::ReplayFrom, Some("eu1/bank/one"))] {
        let Some(Request::Preview(intent)) = keys(&mut view, &format!("{key}corrected data\n")) else {
            panic!("{:?}", view.mode)
        };
        assert_eq!(intent.verb, word);
        assert_eq!(intent.step.as_ref().map(ToString::to_string).as_deref(), from);
        view.mode = Mode::Graph;
    }
    let mut view = View::new(samples::night());
    assert_eq!(keys(&mut view, "a"), None);
    assert_eq!(view.mode, Mode::Graph);
    assert_eq!(view.message, "the operation has not ended: rerun its steps instead");
}

#[test]
fn every_verb_of_the_command_line_has_a_key() {
    let op = <crate::cli::Cli as clap::CommandFactory>::command();
    let op = op.find_subcommand("op").unwrap();
    let looks = ["run", "list", "get", "watch", "logs"];
    let verbs = op.get_subcommands().map(clap::Command::get_name).filter(|name| !looks.contains(name));
    let words: Vec<&str> = Verb::ALL.iter().map(|verb| verb.word()).collect();
    for verb in verbs {
        assert!(words.contains(&verb), "`op {verb}` has no key");
    }
    let mut keys: Vec<char> = Verb::ALL.iter().map(|verb| verb.key()).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), Verb::ALL.len() - 1, "pause and resume share theirs");
    assert!(!keys.iter().any(|key| "l/?q".contains(*key)), "{keys:?}");
    for verb in Verb::ALL {
        let line = format!("{:>18}  {}: {}", verb.key(), verb.word(), verb.help());
        assert!(line.len() <= 80, "{line}");
    }
}

#[test]
fn five_thousand_steps_scroll_and_stay_on_the_selected_one() {
    let mut view = View::new(samples::chain(5000));
    let began = Instant::now();
    screen(&mut view, 80, 24, PLAIN);
    code(&mut view, KeyCode::End);
    let shown = screen(&mut view, 80, 24, PLAIN).to_string();
    assert!(
        shown.contains("step-4999") && shown.contains("step-4981") && !shown.contains("step-4980"),
        "{shown}"
    );
    code(&mut view, KeyCode::PageUp);
    assert_eq!(view.node().unwrap().path, "bank/step-4980");
    // The same steps again, as after each event: the selection stays.
    for _ in 0..20 {
        view.update(samples_of(&view));
    }
    assert_eq!(view.node().unwrap().path, "bank/step-4980");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

fn samples_of(view: &View) -> tenantry_api_types::v1::Operation {
    view.operation.clone()
}

#[test]
fn a_filter_shows_what_matches_in_name_state_or_reason() {
    let mut view = View::new(samples::night());
    keys(&mut view, "/scenario");
    assert_eq!(view.shown.len(), 3);
    insta::assert_snapshot!(screen(&mut view, 80, 12, PLAIN));
    keys(&mut view, "\n\x1b");
    assert_eq!(view.shown.len(), 8);
    keys(&mut view, "/copied by hand\n");
    assert_eq!(view.node().unwrap().path, "bank/load-market-data");
    keys(&mut view, "/nothing has this\n");
    assert!(view.node().is_none());
    assert_eq!(keys(&mut view, "r"), None);
    assert_eq!(view.message, "no step is selected");
}

#[test]
fn tab_goes_round_what_waits_for_a_person() {
    let step = |name: &str, waiting: bool| {
        samples::step(name, &[], "failed", &serde_json::json!({"waiting": waiting, "attempt": 1}))
    };
    let steps = [step("a", true), step("b", false), step("c", true)];
    let mut view = View::new(samples::operation("running", &steps));
    let first = view.node().unwrap().path.clone();
    keys(&mut view, "\t");
    let second = view.node().unwrap().path.clone();
    keys(&mut view, "\t");
    assert_eq!(view.node().unwrap().path, first);
    assert_eq!([first, second].iter().filter(|path| path.as_str() == "bank/b").count(), 0);
}

#[test]
fn a_lost_connection_is_said_and_what_was_known_stays() {
    let mut view = View::new(samples::night());
    view.link = Link::Lost("connection refused".to_owned());
    let shown = screen(&mut view, 80, 24, PLAIN).to_string();
    assert!(shown.contains("connecting again, what is shown is old: connection refused"), "{shown}");
    assert!(shown.contains("bank/report"), "{shown}");
}

#[test]
fn colours_are_sixteen_or_none() {
    let with = screen(&mut View::new(samples::night()), 80, 24, Palette { colours: true });
    let mut colours: Vec<Color> = with.buffer().content.iter().map(|cell| cell.fg).collect();
    colours.sort_by_key(ToString::to_string);
    colours.dedup();
    assert!(colours.contains(&Color::Green) && colours.contains(&Color::Yellow), "{colours:?}");
    assert!(
        !colours.iter().any(|colour| matches!(colour, Color::Rgb(..) | Color::Indexed(_))),
        "{colours:?}"
    );

    let without = screen(&mut View::new(samples::night()), 80, 24, PLAIN);
    assert!(without.buffer().content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    // What waits and what is selected can be told without colours.
    let row = |text: &str| (0..24).find(|y| line(&without, *y).contains(text)).unwrap();
    let cell = &without.buffer()[(5, row("scenario-volatility-up"))];
    assert!(cell.modifier.contains(Modifier::BOLD | Modifier::REVERSED));
}

fn line(backend: &TestBackend, y: u16) -> String {
    (0..backend.buffer().area.width).map(|x| backend.buffer()[(x, y)].symbol().to_owned()).collect()
}

#[test]
fn any_size_is_drawn() {
    for (width, height) in [(1, 1), (39, 24), (40, 8), (80, 7), (80, 24), (300, 100)] {
        for mode in ["", "?", "k", "/", "l"] {
            let mut view = View::new(samples::night());
            keys(&mut view, mode);
            screen(&mut view, width, height, PLAIN);
        }
    }
}

#[test]
fn a_log_cannot_steer_the_terminal() {
    let mut view = View::new(samples::night());
    let Some(Request::Log(Some(attempt))) = keys(&mut view, "l") else { panic!("{:?}", view.mode) };
    assert_eq!(attempt.number, 2);
    let mut log = Log::of(&attempt);
    log.push(b"first line\r\n\x1b[2J\x1b]0;owned\x07bad market data: EURJPY.vol\tis -0.19\nhalf of a ");
    log.push(b"line");
    assert_eq!(log.lines, ["first line", "bad market data: EURJPY.vol    is -0.19", "half of a line"]);
    view.mode = Mode::Log(log);
    insta::assert_snapshot!(screen(&mut view, 60, 8, PLAIN));
    assert_eq!(keys(&mut view, "q"), Some(Request::Log(None)));
    assert_eq!(view.mode, Mode::Graph);
}

#[test]
fn a_log_keeps_its_last_lines_and_the_place_of_who_reads_it() {
    let mut log = Log::default();
    for number in 0..6000 {
        log.push(format!("line {number}\n").as_bytes());
    }
    assert_eq!((log.lines.len(), log.lines[0].as_str()), (5000, "line 1000"));
    log.go(-10);
    log.push(b"line 6000\n");
    assert_eq!(log.back, 11);
    log.go(100);
    assert_eq!(log.back, 0);
}
