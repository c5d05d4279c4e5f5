//! Every table that is data, in an order in which rows can be inserted. Leases are none: they belong to processes.
//!
//! A conformance check compares this list with the schema of each kind of store, so that a new table cannot be left out.

/// One table.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// How many of the first columns are its key.
    pub key: usize,
    /// Its columns; those that follow from others aside.
    pub columns: &'static [Column],
}

/// One column.
#[derive(Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
}

/// What a column holds, or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A whole number.
    Number,
}

const fn t(name: &'static str) -> Column {
    Column { name, kind: Kind::Text }
}

const fn n(name: &'static str) -> Column {
    Column { name, kind: Kind::Number }
}

const fn table(name: &'static str, key: usize, columns: &'static [Column]) -> Table {
    Table { name, key, columns }
}

/// All of them.
pub const TABLES: &[Table] = &[
    table("tenants", 1, &[t("name"), t("payload")]),
    table("environments", 1, &[t("id"), t("tenant"), t("name"), t("region"), t("state"), t("payload")]),
    table("versions", 1, &[t("environment"), n("version")]),
    table("aliases", 1, &[t("alias"), t("environment")]),
    table("generations", 2, &[t("environment"), n("generation"), t("payload")]),
    table("applied", 2, &[t("environment"), t("hook"), t("payload")]),
    table("definitions", 1, &[t("name"), t("payload")]),
    table(
        "operations",
        1,
        &[
            t("id"),
            t("environment"),
            t("tenant"),
            t("region"),
            t("name"),
            t("state"),
            n("finished"),
            t("payload"),
        ],
    ),
    table("timers", 1, &[t("operation"), n("due")]),
    table("steps", 2, &[t("operation"), t("hook"), t("payload")]),
    table("attempts", 3, &[t("operation"), t("step"), n("number"), t("region"), n("ended"), t("payload")]),
    table("workflows", 3, &[t("operation"), t("region"), n("round"), n("deliver_at"), t("payload")]),
    table("bridges", 2, &[t("operation"), t("hook"), t("payload")]),
    table("parked_events", 2, &[t("sink"), t("environment"), t("payload")]),
    table("dead_letters", 2, &[t("sink"), n("position"), n("wanted"), t("payload")]),
    table("letters", 1, &[t("id"), n("at"), t("payload")]),
    table("regions", 1, &[t("name"), t("payload")]),
    table("hooks", 3, &[t("region"), t("namespace"), t("name"), t("payload")]),
    table(
        "commands",
        1,
        &[
            t("id"),
            t("region"),
            t("operation"),
            t("step"),
            n("number"),
            t("kind"),
            t("body"),
            t("lease_session"),
            n("lease_until"),
            n("given_out"),
        ],
    ),
    table(
        "attentions",
        1,
        &[
            t("id"),
            t("key"),
            n("settled"),
            t("environment"),
            t("operation"),
            t("region"),
            t("tenant"),
            t("home"),
            t("payload"),
        ],
    ),
    table("events", 1, &[n("position"), t("environment"), t("operation"), t("payload")]),
    table("tokens", 1, &[t("id"), t("payload")]),
    table("idempotency", 1, &[t("key"), t("request_hash"), n("status"), t("body"), t("etag"), n("at")]),
    table("audit", 2, &[t("chain"), n("position"), t("payload")]),
    table("audit_chains", 1, &[t("chain"), n("position"), n("sealed")]),
    table("audit_heads", 1, &[n("number"), t("payload")]),
    table("settings", 1, &[t("key"), t("payload")]),
    table("holds", 1, &[t("id"), n("open"), t("region"), t("payload")]),
    table(
        "approvals",
        1,
        &[t("id"), n("open"), t("operation"), t("environment"), t("tenant"), t("region"), t("payload")],
    ),
    table("replays", 2, &[t("original"), t("replay")]),
    table("schedules", 1, &[t("id"), t("name"), n("due"), t("payload")]),
    table(
        "schedule_runs",
        3,
        &[t("schedule"), t("environment"), n("at"), t("state"), t("operation"), n("deadline"), t("payload")],
    ),
];
