//! What a change is answered: one function for the request that carries it out and for the same request again.
//!
//! The manager keeps what a request came to as data; status, headers and body come from here, each from its route.

use crate::{convert, extract::answer, problem::Answer, routes};
use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use tenantry_api_types::v1;
use tenantry_manager::{KeptAnswer, Manager};

/// The answer to a change.
pub(crate) fn answered(manager: &Manager, kept: KeptAnswer) -> Answer<Response> {
    let status = |made: bool| if made { StatusCode::CREATED } else { StatusCode::OK };
    match kept {
        KeptAnswer::Tenant { tenant, made } => {
            let tenant = v1::Tenant::from(tenant);
            answer(status(made), Some(&tenant.etag), &tenant)
        }
        KeptAnswer::Region(region) => answer(StatusCode::CREATED, None, &convert::region(manager, region)),
        KeptAnswer::Accepted { environment, operation } => {
            let operation = operation.map(tenantry_manager::OperationAnswer::Requested);
            routes::environments::accepted(&convert::started(*environment, operation))
        }
        KeptAnswer::Steered(view) => routes::operations::show(&convert::operation(*view)),
        KeptAnswer::Waits(approval) => routes::approvals::waits(*approval),
        KeptAnswer::Decided { approval, operation, purged } => {
            let operation = operation.map(|view| convert::operation(*view));
            let purged = purged.map(|purged| convert::purged(*purged));
            let approval = (*approval).into();
            answer(StatusCode::OK, None, &v1::DecidedApproval { approval, operation, purged, preview: None })
        }
        KeptAnswer::Purged(purged) => routes::purge::shown(*purged),
        KeptAnswer::Hold { hold, made } => answer(status(made), None, &convert::hold(*hold)),
        KeptAnswer::Hook(row) => answer(StatusCode::OK, None, &convert::hook(*row)),
        KeptAnswer::Definition { definition, made } => {
            let shown = routes::definitions::shown(*definition)?;
            answer(status(made), Some(&shown.etag), &shown)
        }
        KeptAnswer::PlatformSchema(schema) => {
            let shown = routes::definitions::shown_schema(Some(schema))?;
            answer(StatusCode::OK, Some(&shown.etag), &shown)
        }
        KeptAnswer::Schedule { schedule, made } => routes::schedules::shown(*schedule, status(made)),
        KeptAnswer::Asked(runs) => routes::schedules::asked(runs, StatusCode::ACCEPTED),
        KeptAnswer::Revoked(token) => answer(StatusCode::OK, None, &v1::Token::from(token)),
        KeptAnswer::Sealed(head) => answer(StatusCode::OK, None, &v1::SealedAudit { head }),
        KeptAnswer::AuditKey(key) => answer(StatusCode::OK, None, &routes::audit::key(key)),
        KeptAnswer::Retired(gone) => answer(StatusCode::OK, None, &routes::retention::retention(gone)),
        KeptAnswer::EventSink(view) => answer(StatusCode::OK, None, &routes::event_sinks::shown(*view)),
        KeptAnswer::DeadLetters(changed) => {
            answer(StatusCode::OK, None, &routes::event_sinks::changed(changed))
        }
        KeptAnswer::LettersDiscarded(discarded) => {
            answer(StatusCode::OK, None, &routes::inbox::discarded(discarded))
        }
        KeptAnswer::Gone => Ok(StatusCode::NO_CONTENT.into_response()),
        // The manager looks at it again.
        KeptAnswer::SteeredLarge(id) => {
            Err(tenantry_manager::ManagerError::AlreadyApplied(id.to_string()).into())
        }
        // The manager gives an error instead of it: nothing of it can be shown again.
        KeptAnswer::Secret { target } => Err(tenantry_manager::ManagerError::AlreadyApplied(target).into()),
    }
}
