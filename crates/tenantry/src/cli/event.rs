//! `tenantry event`.

use super::Connection;
use clap::Subcommand;
use tenantry_model::LetterId;

#[derive(Debug, Subcommand)]
pub enum EventCommand {
    /// The receivers of events
    #[command(subcommand)]
    Sink(EventSinkCommand),
    /// Events that a receiver was not given
    #[command(subcommand)]
    DeadLetter(DeadLetterCommand),
    /// Messages that asked for an operation and were refused
    #[command(subcommand)]
    Inbox(InboxCommand),
}

#[derive(Debug, Subcommand)]
pub enum EventSinkCommand {
    /// Lists them: how far each has come, and what waits for it
    List {
        #[command(flatten)]
        connection: Connection,
    },
    /// Delivers again what was delivered before; each event under the id that it had
    Replay {
        /// Which sink
        sink: String,
        /// The first event, by its position
        #[arg(long, value_name = "POSITION", conflicts_with = "from", required_unless_present = "from")]
        from_position: Option<u64>,
        /// What happened from then on: a time (2026-11-21T06:00:00Z) or as long ago as that (8h)
        #[arg(long, value_name = "TIME")]
        from: Option<String>,
        /// Why (kept in the audit log)
        #[arg(long)]
        reason: Option<String>,
        /// Only say where it would begin
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// Forgets one that is configured no more, with all that it was not given
    Forget {
        /// Which sink
        sink: String,
        /// Why (kept in the audit log)
        #[arg(long)]
        reason: String,
        /// Only say whether it could be forgotten
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        connection: Connection,
    },
}

#[derive(Debug, Subcommand)]
pub enum DeadLetterCommand {
    /// Lists them, the oldest event first
    List {
        /// Of which sink
        sink: String,
        /// At most this many
        #[arg(long, default_value_t = 1000)]
        limit: usize,
        #[command(flatten)]
        connection: Connection,
    },
    /// Delivers them after all, once the sink takes something
    Redeliver {
        /// Of which sink
        sink: String,
        /// Their positions; without one all of them
        positions: Vec<u64>,
        /// Why (kept in the audit log)
        #[arg(long)]
        reason: Option<String>,
        /// Only say which
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// Throws them away: the sink will never get them
    Discard {
        /// Of which sink
        sink: String,
        /// Their positions; without one all of them
        positions: Vec<u64>,
        /// Why (kept in the audit log)
        #[arg(long)]
        reason: String,
        /// Only say which
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        connection: Connection,
    },
}

#[derive(Debug, Subcommand)]
pub enum InboxCommand {
    /// Lists them, the oldest first
    List {
        /// At most this many
        #[arg(long, default_value_t = 1000)]
        limit: usize,
        #[command(flatten)]
        connection: Connection,
    },
    /// Shows one: why it was refused, and what is kept of it
    Show {
        /// Its id
        message: LetterId,
        #[command(flatten)]
        connection: Connection,
    },
    /// Does after all what one asked for, in your name
    Retry {
        /// Its id
        message: LetterId,
        /// Why (kept in the audit log)
        #[arg(long)]
        reason: Option<String>,
        /// Only say whether it could be done
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// Throws them away
    Discard {
        /// Their ids; without one all of them
        messages: Vec<LetterId>,
        /// Why (kept in the audit log)
        #[arg(long)]
        reason: String,
        /// Only say which
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        connection: Connection,
    },
}
