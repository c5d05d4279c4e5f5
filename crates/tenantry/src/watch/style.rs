//! Colours: sixteen, as every terminal has them, or none (`NO_COLOR`). Nothing is said by colour alone: states are words.

use ratatui::style::{Color, Modifier, Style};
use tenantry_model::{OperationState, StepState};

/// How things look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Palette {
    /// Whether colours are used.
    pub colours: bool,
}

impl Palette {
    /// As the environment asks: <https://no-color.org>.
    pub fn from_environment() -> Self {
        Self { colours: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) }
    }

    fn of(self, colour: Color) -> Style {
        if self.colours { Style::new().fg(colour) } else { Style::new() }
    }

    /// Of a step; one that waits for a person stands out without colours too.
    pub fn step(self, state: StepState, waiting: bool) -> Style {
        if waiting {
            return self.of(Color::Yellow).add_modifier(Modifier::BOLD);
        }
        match state {
            StepState::Blocked | StepState::Ready | StepState::Cancelled => Style::new(),
            StepState::Running => self.of(Color::Cyan),
            StepState::Succeeded => self.of(Color::Green),
            StepState::Failed => self.of(Color::Red),
            StepState::Skipped | StepState::Confirmed => self.of(Color::Blue),
        }
    }

    /// Of an operation's state.
    pub fn operation(self, state: OperationState) -> Style {
        let style = match state {
            OperationState::Succeeded => self.of(Color::Green),
            OperationState::Failed => self.of(Color::Red),
            OperationState::Running => self.of(Color::Cyan),
            OperationState::Paused => self.of(Color::Magenta),
            _ => Style::new(),
        };
        style.add_modifier(Modifier::BOLD)
    }

    /// What needs attention.
    pub fn alert(self) -> Style {
        self.of(Color::Yellow).add_modifier(Modifier::BOLD)
    }

    /// A hold.
    pub fn held(self) -> Style {
        self.of(Color::Magenta)
    }

    /// Headings and frames.
    pub fn heading() -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// The selected line.
    pub fn selected() -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }
}
