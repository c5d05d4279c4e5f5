//! What agents ask and report. Leases fence commands; observations are facts, taken in at any time.

mod commands;
mod inventory;
mod logs;
mod observe;
mod session;
mod types;

pub(crate) use inventory::is_known;
pub use types::*;

use crate::Principal;
use crate::error::{ManagerError, Result};
use crate::work::Work;
use tenantry_model::{Actor, ActorKind, AgentSessionId, Region, RegionName, Role, Scope};

/// The agent of a region as a caller.
fn agent(region: &RegionName, origin: Option<String>) -> Principal {
    Principal {
        actor: Actor { kind: ActorKind::Agent, name: region.to_string() },
        role: Role::Viewer,
        scopes: vec![Scope::Region(region.clone())],
        origin,
        ..Principal::system()
    }
}

/// Whether `session` speaks for the region.
fn current(region: &Region, session: AgentSessionId) -> Result<()> {
    match region.session {
        None => Err(ManagerError::SessionExpired(region.name.to_string())),
        Some(current) if current != session => Err(ManagerError::SessionSuperseded(region.name.to_string())),
        Some(_) => Ok(()),
    }
}

impl Work<'_> {
    async fn region(&mut self, name: &RegionName) -> Result<Region> {
        self.tx.region(name).await?.ok_or_else(|| ManagerError::not_found("region", name))
    }
}
