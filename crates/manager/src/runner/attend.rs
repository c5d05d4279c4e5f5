//! Raising and settling what waits for a person. Raising a key that is open changes nothing.

use crate::error::Result;
use crate::outbox;
use crate::work::Work;
use tenantry_engine::Raised;
use tenantry_model::{Attention, AttentionId, AttentionKind, EnvironmentId, Operation, OperationId};
use uuid::Uuid;

impl Work<'_> {
    pub(super) async fn raise_attention(&mut self, operation: &Operation, raised: &Raised) -> Result<()> {
        // A hook's quarantine concerns every environment; it only came to light in this one.
        let common = matches!(raised.kind, AttentionKind::HookQuarantined | AttentionKind::HookLeftOut);
        let owner = (!common).then_some((operation.environment, operation.id));
        self.raise_for(owner, raised).await
    }

    pub(crate) async fn raise_for(
        &mut self,
        owner: Option<(EnvironmentId, OperationId)>,
        raised: &Raised,
    ) -> Result<()> {
        let (environment, operation) = owner.unzip();
        self.raise_about(environment, operation, raised).await
    }

    /// The same about an environment in which no operation is concerned.
    pub(crate) async fn raise_about(
        &mut self,
        environment: Option<EnvironmentId>,
        operation: Option<OperationId>,
        raised: &Raised,
    ) -> Result<()> {
        let open = self.tx.open_attention(&raised.key).await?;
        if open.as_ref().is_some_and(|open| open.message == raised.message) {
            return Ok(());
        }
        let attention = Attention {
            id: open.as_ref().map_or_else(|| AttentionId(Uuid::now_v7()), |open| open.id),
            kind: raised.kind,
            key: raised.key.clone(),
            environment,
            operation,
            hook: raised.step.clone(),
            region: raised.region.clone(),
            message: raised.message.clone(),
            remedy: raised.remedy.clone(),
            raised_at: open.map_or(self.now, |open| open.raised_at),
            settled_at: None,
        };
        self.tx.put_attention(&attention).await?;
        self.attention_event(outbox::ATTENTION_RAISED, &attention).await
    }

    pub(crate) async fn settle_attention(&mut self, key: &str) -> Result<()> {
        let Some(mut attention) = self.tx.open_attention(key).await? else { return Ok(()) };
        attention.settled_at = Some(self.now);
        self.tx.put_attention(&attention).await?;
        self.attention_event(outbox::ATTENTION_SETTLED, &attention).await
    }

    async fn attention_event(&mut self, kind: &str, attention: &Attention) -> Result<()> {
        let data = outbox::attention(attention);
        match attention.environment {
            Some(_) => self.event(kind, attention.operation, data).await,
            None => self.common_event(kind, data).await,
        }
    }
}
