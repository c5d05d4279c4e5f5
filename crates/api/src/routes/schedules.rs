//! `/v1/schedules`.

use crate::{
    answers::answered,
    convert,
    extract::{Json, Query, Segments, answer, page, required_etag, revision},
    guard::Caller,
    problem::Answer,
    state::ApiState,
};
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use tenantry_api_types::v1::{
    AskSchedule, AskedRuns, BackfillSchedule, ChangeQuery, CreateSchedule, List, PageQuery, PauseSchedule,
    PreviewQuery, Schedule, SchedulePreview, ScheduleRun, UpdateSchedule,
};
use tenantry_manager::{AskedRun, Backfill, KeptAnswer, NewSchedule, ScheduleChange};
use tenantry_model::{Role, ScheduleName};
use utoipa_axum::{router::OpenApiRouter, routes};

/// Times that a preview shows when the caller does not say.
const SHOWN: u32 = 10;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list_schedules, create_schedule))
        .routes(routes!(get_schedule, update_schedule, delete_schedule))
        .routes(routes!(pause_schedule))
        .routes(routes!(resume_schedule))
        .routes(routes!(run_schedule))
        .routes(routes!(backfill_schedule))
        .routes(routes!(preview_schedule))
        .routes(routes!(list_schedule_runs))
}

pub(crate) fn shown(schedule: tenantry_model::Schedule, status: StatusCode) -> Answer<Response> {
    let schedule = Schedule::from(schedule);
    answer(status, Some(&schedule.etag), &schedule)
}

/// Schedules that the caller may see, by name.
#[utoipa::path(get, path = "/v1/schedules", tag = "schedules", params(PageQuery), responses((status = OK, body = List<Schedule>)))]
async fn list_schedules(
    State(state): State<ApiState>,
    Caller(who): Caller,
    Query(query): Query<PageQuery>,
) -> Answer<Response> {
    let page = page(query.page_size, query.page_token.as_deref())?;
    let found =
        convert::cut(state.manager.schedules(&who).await?, &page, |schedule| schedule.name.to_string());
    answer(StatusCode::OK, None, &convert::list::<_, Schedule>(found))
}

/// Makes a schedule; it fires from its next time on.
#[utoipa::path(post, path = "/v1/schedules", tag = "schedules", params(ChangeQuery), request_body = CreateSchedule, responses((status = CREATED, body = Schedule), (status = OK, description = "with `validateOnly`", body = Schedule)))]
async fn create_schedule(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<ChangeQuery>,
    Json(body): Json<CreateSchedule>,
) -> Answer<Response> {
    caller.require(Role::Operator, &state.manager.target_of(&body.target).await?)?;
    let new = NewSchedule {
        name: body.name,
        description: body.description,
        operation: body.operation,
        parameters: body.parameters,
        target: body.target,
        cron: body.cron,
        time_zone: body.time_zone,
        catch_up: body.catch_up,
        overlap: body.overlap,
        deadline: body.deadline,
        validate_only: query.validate_only,
    };
    let schedule = Box::new(state.manager.create_schedule(&caller.0, new).await?);
    answered(&state.manager, KeptAnswer::Schedule { schedule, made: !query.validate_only })
}

/// One schedule.
#[utoipa::path(get, path = "/v1/schedules/{schedule}", tag = "schedules", params(("schedule" = String, Path)), responses((status = OK, body = Schedule)))]
async fn get_schedule(State(state): State<ApiState>, segments: Segments) -> Answer<Response> {
    let name: ScheduleName = segments.get("schedule")?;
    shown(state.manager.schedule(&name).await?, StatusCode::OK)
}

/// Changes a schedule. Its next time is computed anew and lies after now.
#[utoipa::path(patch, path = "/v1/schedules/{schedule}", tag = "schedules", params(("schedule" = String, Path), ChangeQuery), request_body = UpdateSchedule, responses((status = OK, body = Schedule)))]
async fn update_schedule(
    State(state): State<ApiState>,
    caller: Caller,
    segments: Segments,
    headers: HeaderMap,
    Json(body): Json<UpdateSchedule>,
) -> Answer<Response> {
    let name: ScheduleName = segments.get("schedule")?;
    let expected = revision(&required_etag(&headers)?)?;
    // The guard has judged the target that it has; a new one must lie within the caller's scopes too.
    if let Some(target) = &body.target {
        caller.require(Role::Operator, &state.manager.target_of(target).await?)?;
    }
    let change = ScheduleChange {
        description: body.description,
        operation: body.operation,
        parameters: body.parameters,
        target: body.target,
        cron: body.cron,
        time_zone: body.time_zone,
        catch_up: body.catch_up,
        overlap: body.overlap,
        deadline: body.deadline,
    };
    let changed = state.manager.update_schedule(&caller.0, &name, Some(expected), change).await?;
    answered(&state.manager, KeptAnswer::Schedule { schedule: Box::new(changed), made: false })
}

/// Removes a schedule and its runs that wait; operations that were requested go on.
#[utoipa::path(delete, path = "/v1/schedules/{schedule}", tag = "schedules", params(("schedule" = String, Path), ChangeQuery), responses((status = NO_CONTENT)))]
async fn delete_schedule(
    State(state): State<ApiState>,
    Caller(who): Caller,
    segments: Segments,
    headers: HeaderMap,
) -> Answer<Response> {
    let name: ScheduleName = segments.get("schedule")?;
    let expected = revision(&required_etag(&headers)?)?;
    state.manager.delete_schedule(&who, &name, Some(expected)).await?;
    answered(&state.manager, KeptAnswer::Gone)
}

/// Holds back all times from now on. Runs that wait or were requested go on.
#[utoipa::path(post, path = "/v1/schedules/{schedule}/~pause", tag = "schedules", params(("schedule" = String, Path), ChangeQuery), request_body = PauseSchedule, responses((status = OK, body = Schedule)))]
async fn pause_schedule(
    State(state): State<ApiState>,
    Caller(who): Caller,
    segments: Segments,
    Json(body): Json<PauseSchedule>,
) -> Answer<Response> {
    let name: ScheduleName = segments.get("schedule")?;
    let schedule = Box::new(state.manager.pause_schedule(&who, &name, body.reason).await?);
    answered(&state.manager, KeptAnswer::Schedule { schedule, made: false })
}

/// Lets a paused schedule go on with its next time. Times that came during the pause are left out; backfill runs them.
#[utoipa::path(post, path = "/v1/schedules/{schedule}/~resume", tag = "schedules", params(("schedule" = String, Path), ChangeQuery), request_body = AskSchedule, responses((status = OK, body = Schedule)))]
async fn resume_schedule(
    State(state): State<ApiState>,
    Caller(who): Caller,
    segments: Segments,
    Json(body): Json<AskSchedule>,
) -> Answer<Response> {
    let name: ScheduleName = segments.get("schedule")?;
    let schedule = Box::new(state.manager.resume_schedule(&who, &name, body.reason).await?);
    answered(&state.manager, KeptAnswer::Schedule { schedule, made: false })
}

/// Runs it now for all its environments, also while it is paused. Its next time stays.
#[utoipa::path(post, path = "/v1/schedules/{schedule}/~run", tag = "schedules", params(("schedule" = String, Path), ChangeQuery), request_body = AskSchedule, responses((status = ACCEPTED, body = AskedRuns), (status = OK, description = "with `validateOnly`", body = AskedRuns)))]
async fn run_schedule(
    State(state): State<ApiState>,
    Caller(who): Caller,
    segments: Segments,
    Query(query): Query<ChangeQuery>,
    Json(body): Json<AskSchedule>,
) -> Answer<Response> {
    let name: ScheduleName = segments.get("schedule")?;
    let runs = state.manager.run_schedule(&who, &name, body.reason, query.validate_only).await?;
    ran(&state, runs, query.validate_only)
}

/// Runs the times of a range that have passed, one after the other; with `validateOnly` it only lists them.
#[utoipa::path(post, path = "/v1/schedules/{schedule}/~backfill", tag = "schedules", params(("schedule" = String, Path), ChangeQuery), request_body = BackfillSchedule, responses((status = ACCEPTED, body = AskedRuns), (status = OK, description = "with `validateOnly`", body = AskedRuns)))]
async fn backfill_schedule(
    State(state): State<ApiState>,
    Caller(who): Caller,
    segments: Segments,
    Query(query): Query<ChangeQuery>,
    Json(body): Json<BackfillSchedule>,
) -> Answer<Response> {
    let name: ScheduleName = segments.get("schedule")?;
    let backfill = Backfill {
        from: body.from,
        until: body.until,
        reason: body.reason,
        validate_only: query.validate_only,
    };
    let runs = state.manager.backfill_schedule(&who, &name, backfill).await?;
    ran(&state, runs, query.validate_only)
}

fn ran(state: &ApiState, runs: Vec<AskedRun>, validate_only: bool) -> Answer<Response> {
    if validate_only {
        asked(runs, StatusCode::OK)
    } else {
        answered(&state.manager, KeptAnswer::Asked(runs))
    }
}

pub(crate) fn asked(runs: Vec<AskedRun>, status: StatusCode) -> Answer<Response> {
    answer(status, None, &AskedRuns { runs: runs.into_iter().map(convert::asked_run).collect() })
}

/// The next times, as if it was not paused, with what the clock on the wall does.
#[utoipa::path(get, path = "/v1/schedules/{schedule}/~preview", tag = "schedules", params(("schedule" = String, Path), PreviewQuery), responses((status = OK, body = SchedulePreview)))]
async fn preview_schedule(
    State(state): State<ApiState>,
    segments: Segments,
    Query(query): Query<PreviewQuery>,
) -> Answer<Response> {
    let name: ScheduleName = segments.get("schedule")?;
    let count = page(query.count.or(Some(SHOWN)), None)?.limit;
    let (schedule, times) = state.manager.preview_schedule(&name, query.after, count).await?;
    answer(StatusCode::OK, None, &convert::schedule_preview(&schedule, times))
}

/// The runs of a schedule, the newest time first.
#[utoipa::path(get, path = "/v1/schedules/{schedule}/runs", tag = "schedules", params(("schedule" = String, Path), PageQuery), responses((status = OK, body = List<ScheduleRun>)))]
async fn list_schedule_runs(
    State(state): State<ApiState>,
    segments: Segments,
    Query(query): Query<PageQuery>,
) -> Answer<Response> {
    let name: ScheduleName = segments.get("schedule")?;
    let page = page(query.page_size, query.page_token.as_deref())?;
    let found = state.manager.schedule_runs(&name, &page).await?;
    answer(StatusCode::OK, None, &convert::list::<_, ScheduleRun>(found))
}
