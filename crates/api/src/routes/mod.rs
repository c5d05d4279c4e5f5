//! The endpoints. Each reads its request, asks one service, and writes the answer; nothing is decided here.

pub(crate) mod agent;
pub(crate) mod approvals;
pub(crate) mod attention;
pub(crate) mod audit;
pub(crate) mod bridge;
pub(crate) mod check;
pub(crate) mod definitions;
pub(crate) mod environments;
pub(crate) mod event_sinks;
pub(crate) mod events;
pub(crate) mod holds;
pub(crate) mod hooks;
pub(crate) mod inbox;
pub(crate) mod lifecycle;
pub(crate) mod logs;
pub(crate) mod operations;
pub(crate) mod probes;
pub(crate) mod purge;
pub(crate) mod regions;
pub(crate) mod retention;
pub(crate) mod schedules;
pub(crate) mod steps;
pub(crate) mod tenants;
pub(crate) mod tokens;
