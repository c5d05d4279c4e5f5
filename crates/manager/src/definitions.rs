//! Operation definitions: the built-in ones, and what platforms define themselves.

use crate::{Manager, Principal, Result};
use tenantry_model::{OperationDefinition, OperationName};

impl Manager {
    /// What the name means now (a `team.operation` that nobody defined has a meaning too).
    pub async fn definition(&self, name: &OperationName) -> Result<OperationDefinition> {
        todo!()
    }

    /// All built-in and stored definitions, by name.
    pub async fn definitions(&self) -> Result<Vec<OperationDefinition>> {
        todo!()
    }

    /// Stores a definition. Of a built-in one, only description, parameters, required hooks, empty-plan rule and
    /// deadlines can be set.
    pub async fn put_definition(
        &self,
        who: &Principal,
        definition: OperationDefinition,
    ) -> Result<OperationDefinition> {
        todo!()
    }

    /// Removes a stored definition (of a built-in one: its changes).
    pub async fn delete_definition(&self, who: &Principal, name: &OperationName) -> Result<()> {
        todo!()
    }
}
