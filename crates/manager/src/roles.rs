//! Work that exists once, although several managers share a store: each role (`regions`, `expiry`, …) has a lease, and
//! every write in it shows the lease's fencing number.
//!
//! Safety does not rest on clocks: a manager that slept past its lease is refused in its transaction as soon as another
//! one has taken over. Clocks only decide how soon that is.

use crate::error::Result;
use crate::{Manager, Principal};
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tenantry_failpoints::Point;
use tenantry_model::with_causes;
use tenantry_store::{Fence, StoreError};
use tracing::{debug, info};
use uuid::Uuid;

/// For how long a role is taken. A manager that dies is replaced after this time.
pub(crate) const ROLE_LEASE: Duration = Duration::from_secs(15);
/// The same for clocks.
pub(crate) const LEASE: SignedDuration = SignedDuration::from_secs(ROLE_LEASE.as_secs().cast_signed());
/// How long giving the roles back may take when the manager ends.
const GIVING_BACK: Duration = Duration::from_secs(3);

/// The roles that this manager has.
#[derive(Debug)]
pub(crate) struct Roles {
    /// This manager among others.
    holder: Uuid,
    held: Mutex<HashMap<String, Held>>,
}

#[derive(Clone, Debug)]
struct Held {
    fence: Fence,
    /// From then on the lease is prolonged before the next work.
    renew_at: Timestamp,
}

impl Default for Roles {
    fn default() -> Self {
        Self { holder: Uuid::new_v4(), held: Mutex::default() }
    }
}

impl Roles {
    fn get(&self, role: &str) -> Option<Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).get(role).cloned()
    }

    fn names(&self) -> Vec<String> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    fn keep(&self, role: &str, held: Held) {
        if self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(role.to_owned(), held).is_none() {
            debug!(role, "this manager has the role");
        }
    }

    /// Several loops may find it out at the same moment; it is said once.
    pub(crate) fn lose(&self, role: &str) {
        if self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(role).is_some() {
            info!(role, "another manager has taken over");
        }
    }
}

impl Manager {
    /// Does `work` if this manager has the role or can take it; tells whether it did. What `work` writes as the given
    /// principal is refused once another manager has taken the role over.
    pub(crate) async fn in_role<F>(&self, role: &str, work: impl FnOnce(Principal) -> F) -> Result<bool>
    where
        F: Future<Output = Result<()>>,
    {
        let Some(fence) = self.take_role(role).await? else { return Ok(false) };
        let who = Principal { fence: Some(fence), ..Principal::system() };
        let done = work(who).await;
        if let Err(crate::ManagerError::Store(StoreError::LeaseLost(_))) = &done {
            self.roles.lose(role);
            return Ok(false);
        }
        done.map(|()| true)
    }

    /// Takes or keeps a role; `None` while another manager has it.
    pub async fn take_role(&self, role: &str) -> Result<Option<Fence>> {
        let now = self.now();
        let held = self.roles.get(role);
        // A clock that was set back makes the lease look fresh: it is prolonged all the same.
        if let Some(held) = held.as_ref().filter(|held| now < held.renew_at && now > held.renew_at - LEASE) {
            return Ok(Some(held.fence.clone()));
        }
        let until = now.checked_add(LEASE).unwrap_or(Timestamp::MAX);
        let mut tx = self.store.write_one().await?;
        let fence = tx.take_lease(role, &self.roles.holder.to_string(), now, until).await?;
        if fence.is_some() {
            crate::work::commit(tx, Point::RoleTake).await?;
        }
        let Some(fence) = fence else {
            self.roles.lose(role);
            return Ok(None);
        };
        let renew_at = now.checked_add(LEASE / 2).unwrap_or(Timestamp::MAX);
        self.roles.keep(role, Held { fence: fence.clone(), renew_at });
        Ok(Some(fence))
    }

    /// Keeps the roles that this manager has.
    pub(crate) async fn prolong_roles(&self) -> Result<()> {
        for role in self.roles.names() {
            self.take_role(&role).await?;
        }
        Ok(())
    }

    /// Gives all roles back, so that others need not wait for the end of their leases.
    pub(crate) async fn give_back_roles(&self) {
        let held: Vec<Held> = {
            let mut all = self.roles.held.lock().unwrap_or_else(PoisonError::into_inner);
            all.drain().map(|(_, held)| held).collect()
        };
        let give = async {
            let mut tx = self.store.write_one().await?;
            for held in &held {
                tx.give_back_lease(&held.fence).await?;
            }
            crate::work::commit(tx, Point::RolesGiveBack).await
        };
        match tokio::time::timeout(GIVING_BACK, give).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                debug!(error = %with_causes(&error), "roles were not given back; their leases run out");
            }
            Err(_) => debug!("roles were not given back in time; their leases run out"),
        }
    }
}
