//! Lists that may be narrowed by several things at once: what a filter and a caller's scopes ask of a row, as columns
//! and values. It knows no SQL; how the rows are found is each implementation's.
#![allow(clippy::must_use_candidate)] // conversions without a use are no mistake

use std::collections::BTreeSet;
use tenantry_model::Scope;

/// A column and the value it must have.
pub type Condition = (&'static str, String);

/// How a table is listed.
#[derive(Clone, Copy)]
pub struct List {
    /// The table; its key is `id`.
    pub table: &'static str,
    /// Columns with an index `(column, id)`, the most selective first.
    pub drivers: &'static [&'static str],
    /// A value that a column must not have. Few rows have it, so that it needs no index.
    pub without: Option<(&'static str, &'static str)>,
    /// A condition whose rows have a partial index by `id`; small enough that nothing else is needed.
    pub partial: Option<&'static str>,
    /// Newest first.
    pub descending: bool,
}

/// What a tenant's or region's scope asks of a row: any one of these conditions.
pub type ScopeColumns = fn(&Scope) -> Vec<Condition>;

/// One set of conditions for each way in which a row may be allowed; empty: nothing is allowed.
pub fn arms(filter: &[Condition], scopes: Option<&[Scope]>, columns: ScopeColumns) -> Vec<Vec<Condition>> {
    let Some(scopes) = scopes.filter(|scopes| !scopes.contains(&Scope::All)) else {
        return vec![filter.to_vec()];
    };
    let distinct: BTreeSet<&Scope> = scopes.iter().collect();
    distinct
        .into_iter()
        .flat_map(columns)
        // A tenant's scope under a filter for another tenant allows nothing; no need to ask.
        .filter(|(column, value)| !filter.iter().any(|(c, v)| c == column && v != value))
        .map(|condition| {
            let mut arm = filter.to_vec();
            if !arm.contains(&condition) {
                arm.push(condition);
            }
            arm
        })
        .collect()
}

/// Environments.
pub mod environments {
    use super::{Condition, List};
    use crate::{EnvironmentFilter, codec::word};
    use tenantry_model::Scope;

    /// All environments.
    pub const LIST: List = List {
        table: "environments",
        drivers: &["tenant", "region", "state"],
        without: None,
        partial: None,
        descending: false,
    };

    /// Those that are not purged.
    pub const LIVING: List = List { without: Some(("state", "purged")), ..LIST };

    /// The list that a filter reads.
    pub fn list_for(filter: &EnvironmentFilter) -> List {
        if filter.purged || filter.state.is_some() { LIST } else { LIVING }
    }

    /// What a scope asks of an environment.
    pub fn scope_columns(scope: &Scope) -> Vec<Condition> {
        match scope {
            Scope::All => vec![],
            Scope::Tenant(tenant) => vec![("tenant", tenant.to_string())],
            Scope::Region(region) => vec![("region", region.to_string())],
        }
    }

    /// What a filter asks of an environment, scopes aside.
    pub fn conditions(filter: &EnvironmentFilter) -> Vec<Condition> {
        let tenant = filter.tenant.iter().map(|tenant| ("tenant", tenant.to_string()));
        let region = filter.region.iter().map(|region| ("region", region.to_string()));
        let state = filter.state.iter().map(|state| ("state", word(state)));
        tenant.chain(region).chain(state).collect()
    }
}

/// Operations; scopes are those of their environment.
pub mod operations {
    pub use super::environments::scope_columns;
    use super::{Condition, List};
    use crate::{OperationFilter, codec::word};

    const DRIVERS: &[&str] = &["environment", "tenant", "region", "name", "state"];
    /// All operations: the history of the installation.
    pub const LIST: List =
        List { table: "operations", drivers: DRIVERS, without: None, partial: None, descending: true };
    /// Those that go on: few at any time.
    pub const UNFINISHED: List = List { partial: Some("finished = 0"), ..LIST };

    /// What a filter asks of an operation, scopes and being unfinished aside.
    pub fn conditions(filter: &OperationFilter) -> Vec<Condition> {
        let environment = filter.environment.iter().map(|id| ("environment", id.to_string()));
        let name = filter.name.iter().map(|name| ("name", name.to_string()));
        let state = filter.state.iter().map(|state| ("state", word(state)));
        environment.chain(name).chain(state).collect()
    }

    /// The list that answers a filter with the least work; its rows still have to meet every condition.
    pub fn list_for(filter: &OperationFilter) -> List {
        let unfinished = filter.unfinished || filter.state.is_some_and(|state| !state.is_final());
        if unfinished { UNFINISHED } else { LIST }
    }
}

/// Things that wait for a person.
pub mod attentions {
    use super::{Condition, List};
    use crate::AttentionFilter;
    use tenantry_model::Scope;

    /// Settled ones too: the history.
    pub const LIST: List = List {
        table: "attentions",
        drivers: &["operation", "tenant", "region", "home"],
        without: None,
        partial: None,
        descending: false,
    };
    /// What waits now: little.
    pub const OPEN: List = List { partial: Some("settled = 0"), ..LIST };

    /// What a scope asks of an attention: a region sees its own and those of the environments at home in it.
    pub fn scope_columns(scope: &Scope) -> Vec<Condition> {
        match scope {
            Scope::All => vec![],
            Scope::Tenant(tenant) => vec![("tenant", tenant.to_string())],
            Scope::Region(region) => vec![("region", region.to_string()), ("home", region.to_string())],
        }
    }

    /// What a filter asks of an attention, scopes and being settled aside.
    pub fn conditions(filter: &AttentionFilter) -> Vec<Condition> {
        filter.operation.iter().map(|operation| ("operation", operation.to_string())).collect()
    }
}

/// Holds by predicate.
pub mod holds {
    use super::{Condition, List};
    use tenantry_model::Scope;

    /// Lifted ones too: the history.
    pub const LIST: List =
        List { table: "holds", drivers: &["region"], without: None, partial: None, descending: false };
    /// What holds now: little.
    pub const OPEN: List = List { partial: Some("open = 1"), ..LIST };

    /// A region's scope sees the holds of that region; no tenant has holds of its own.
    pub fn scope_columns(scope: &Scope) -> Vec<Condition> {
        match scope {
            Scope::All | Scope::Tenant(_) => vec![],
            Scope::Region(region) => vec![("region", region.to_string())],
        }
    }
}

/// Verbs that wait, or waited, for a second person; scopes are those of their environment.
pub mod approvals {
    pub use super::environments::scope_columns;
    use super::{Condition, List};
    use crate::ApprovalFilter;

    /// Decided ones too: the history.
    pub const LIST: List = List {
        table: "approvals",
        drivers: &["operation", "environment", "tenant", "region"],
        without: None,
        partial: None,
        descending: false,
    };
    /// What waits now: little.
    pub const OPEN: List = List { partial: Some("open = 1"), ..LIST };

    /// What a filter asks of an approval, scopes and being decided aside.
    pub fn conditions(filter: &ApprovalFilter) -> Vec<Condition> {
        let operation = filter.operation.iter().map(|id| ("operation", id.to_string()));
        operation.chain(filter.environment.iter().map(|id| ("environment", id.to_string()))).collect()
    }
}
