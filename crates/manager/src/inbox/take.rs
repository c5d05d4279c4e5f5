//! What an event asks for, under the rights of whoever sent it. The event's source and id are the key of its request, so that
//! the same event starts one operation, whatever crashes and however often it comes.

use super::event::{EventRefusal, RequestEvent};
use crate::error::{ErrorClass, ManagerError, Result};
use crate::operations::{Wish, own_method};
use crate::repeat::repeating;
use crate::work::Work;
use crate::{EnvironmentKey, KeptAnswer, Manager, OperationAnswer, Principal, Target};
use jiff::SignedDuration;
use std::iter::once;
use tenantry_failpoints::Point;
use tenantry_model::{Environment, OperationName, Role, Scope};

/// So far ahead a sender's clock may be.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);

impl Manager {
    /// Before the event: what it came to when it was carried out before.
    ///
    /// # Errors
    /// `EventRefusal::IdReused` for another event under the same source and id.
    pub async fn replay_event(&self, who: &Principal, event: &RequestEvent) -> Result<Option<KeptAnswer>> {
        match self.replay(who).await {
            Err(ManagerError::KeyReused) => Err(EventRefusal::IdReused(event.cause.clone()).into()),
            other => other,
        }
    }

    /// Starts what the event asks for. The caller's request is the event ([`RequestEvent::key`]).
    ///
    /// # Errors
    /// It is refused, or cannot be carried out now.
    pub async fn take_event(
        &self,
        who: &Principal,
        event: &RequestEvent,
        validate_only: bool,
    ) -> Result<(Environment, OperationAnswer)> {
        self.check_age(event)?;
        let environment = self.asked_for(who, event).await?.id;
        repeating(|| async {
            let mut work = self.begin_one(who).await?;
            work.lock(environment).await?;
            let answer = work.ask_by(event, validate_only).await?;
            let environment = work.environment()?.clone();
            work.accept(&answer, Point::EventTake).await?;
            Ok((environment, answer))
        })
        .await
    }

    /// Answers are kept for at least as long, from the event's time on: what is older may have been carried out.
    fn check_age(&self, event: &RequestEvent) -> Result<()> {
        let (age, limit) = (self.now().duration_since(event.time), self.config.event_max_age);
        if age > limit {
            return Err(EventRefusal::TooOld { time: event.time, limit }.into());
        }
        if age < -AHEAD {
            return Err(EventRefusal::invalid("/time", format!("{} lies ahead", event.time)).into());
        }
        Ok(())
    }

    /// The environment, if the caller may ask for an operation of it and the operation is known there.
    pub(super) async fn asked_for(&self, who: &Principal, event: &RequestEvent) -> Result<Environment> {
        let asked = &event.data;
        let key: EnvironmentKey = asked
            .environment
            .parse()
            .map_err(|why| EventRefusal::invalid("/data/environment", format!("{why}")))?;
        let outside = || {
            let message = "this needs the role operator on a scope that the credential lacks";
            ManagerError::Forbidden(message.to_owned())
        };
        let environment = match self.environment(&key).await {
            Ok(environment) if who.may(Role::Operator, &Target::of(&environment)) => environment,
            Ok(_) => return Err(outside()),
            // Whoever may not know it is not told that it is not there either.
            Err(error) if error.class() == ErrorClass::NotFound && !who.scopes.contains(&Scope::All) => {
                return Err(outside());
            }
            Err(error) => return Err(error),
        };
        own_method(&asked.operation, "/data/operation")?;
        if !self.is_known(&environment, &asked.operation).await? {
            return Err(ManagerError::not_found("operation", &asked.operation));
        }
        Ok(environment)
    }

    /// Whether a name means something for the environment: a definition, or a hook that registers for it. In the API such a
    /// name is allowed, and whoever asked sees what comes of it; nobody looks after an event.
    async fn is_known(&self, environment: &Environment, name: &OperationName) -> Result<bool> {
        let mut read = self.store.read().await?;
        if read.definition(name).await?.is_some() {
            return Ok(true);
        }
        for region in once(&environment.region).chain(&self.config.further_regions) {
            // What its agent has not told yet may know it: the plan waits for that.
            let told = read.region(region).await?.is_some_and(|region| region.inventory_complete);
            if !told {
                return Ok(true);
            }
            let rows = read.hooks_for(region, name).await?;
            let versions = rows.iter().flat_map(|row| row.current.iter().chain(&row.last_good));
            if versions.into_iter().any(|hook| hook.operations.contains(name)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Work<'_> {
    /// Asks for what an event asks for, for the locked environment.
    pub(super) async fn ask_by(
        &mut self,
        event: &RequestEvent,
        validate_only: bool,
    ) -> Result<OperationAnswer> {
        let (asked, state) = (&event.data, self.environment()?.state);
        if let Some(expected) = asked.expected_state.filter(|expected| *expected != state) {
            return Err(ManagerError::EnvironmentMoved { state, expected });
        }
        // What a sender's clock that is ahead has named later than now must be known until that is old.
        self.kept_from = Some(event.time);
        let wish = Wish {
            name: asked.operation.clone(),
            parameters: asked.parameters.clone(),
            reason: asked.reason.clone(),
            on_conflict: asked.on_conflict,
            scheduled_time: asked.scheduled_time,
            cause: Some(event.cause.clone()),
        };
        self.ask(wish, validate_only).await
    }
}
