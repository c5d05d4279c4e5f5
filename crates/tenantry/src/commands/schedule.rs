//! `tenantry schedule …`

use super::resolve::{environment, name, usage, word};
use super::{Context, change, connect, connect::all};
use crate::cli::{Ask, Format, ScheduleCommand, ScheduleWords};
use crate::exit::Exit;
use crate::output::{self, Rows};
use crate::wanted::pairs;
use anyhow::Result;
use jiff::{Timestamp, civil, tz::TimeZone};
use tenantry_api_types::v1::{
    AskSchedule, AskedRun, AskedRuns, BackfillSchedule, CreateSchedule, PageQuery, PauseSchedule,
    PreviewQuery, Schedule, ScheduleRun, UpdateSchedule,
};
use tenantry_client::{Call, Client};
use tenantry_model::{RunDeadline, ScheduleName, ScheduleTarget};
use tenantry_schedule::{Hour, Times};

/// When more environments match and nothing else was said, nothing runs.
const CAP: u32 = 100;

impl Rows for Schedule {
    const HEADINGS: &'static [&'static str] = &["name", "operation", "for", "cron", "time zone", "next"];
    fn cells(&self) -> Vec<String> {
        vec![
            self.name.to_string(),
            self.operation.to_string(),
            target(&self.target),
            self.cron.clone(),
            self.time_zone.clone(),
            match (&self.paused, self.next_time) {
                (Some(_), _) => "paused".to_owned(),
                (None, next) => next.map(|at| local(at, &self.time_zone)).unwrap_or_default(),
            },
        ]
    }
}

impl Rows for ScheduleRun {
    const HEADINGS: &'static [&'static str] = &["time", "environment", "cause", "state", "operation", "note"];
    fn cells(&self) -> Vec<String> {
        let note = self.note.clone().unwrap_or_default();
        vec![
            self.scheduled_time.to_string(),
            self.environment.to_string(),
            output::word(&self.cause),
            output::word(&self.state),
            self.operation.map(|id| id.to_string()).unwrap_or_default(),
            match (self.missed, self.at_risk) {
                (true, _) => format!("missed its deadline; {note}"),
                (false, true) => format!("will probably miss its deadline; {note}"),
                (false, false) => note,
            },
        ]
    }
}

impl Rows for AskedRun {
    const HEADINGS: &'static [&'static str] = &["time", "environment", "runs", "before"];
    fn cells(&self) -> Vec<String> {
        vec![
            self.scheduled_time.to_string(),
            self.environment.to_string(),
            if self.runs { "yes" } else { "no, it has a run" }.to_owned(),
            self.before.as_ref().map(output::word).unwrap_or_default(),
        ]
    }
}

fn target(target: &ScheduleTarget) -> String {
    match target {
        ScheduleTarget::Environment(id) => id.to_string(),
        ScheduleTarget::Selector { tenant, region, labels, cap } => {
            let of = |what: &str, name: Option<String>| name.map(|name| format!("{what} {name}"));
            let parts = [
                of("tenant", tenant.as_ref().map(ToString::to_string)),
                of("region", region.as_ref().map(ToString::to_string)),
                Some(labels.clone()).filter(|labels| !labels.is_empty()),
                Some(format!("at most {cap}")),
            ];
            parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
        }
    }
}

/// A time as the schedule's zone shows it; one that this machine does not know is shown as UTC.
fn local(at: Timestamp, zone: &str) -> String {
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    at.to_zoned(zone).strftime("%Y-%m-%d %H:%M %:z").to_string()
}

fn lines(schedule: &Schedule) -> Vec<(&'static str, String)> {
    let paused = schedule.paused.as_ref();
    let shown = |at: Option<Timestamp>| at.map(|at| local(at, &schedule.time_zone)).unwrap_or_default();
    vec![
        ("schedule", schedule.name.to_string()),
        ("description", schedule.description.clone()),
        ("operation", schedule.operation.to_string()),
        ("for", target(&schedule.target)),
        ("cron", format!("{} ({})", schedule.cron, schedule.time_zone)),
        ("catch-up", output::word(&schedule.catch_up)),
        ("overlap", output::word(&schedule.overlap)),
        ("deadline", schedule.deadline.map(|deadline| deadline.to_string()).unwrap_or_default()),
        (
            "paused",
            paused.map(|paused| format!("{} by {}", paused.reason, paused.by.name)).unwrap_or_default(),
        ),
        ("last time", shown(schedule.last_time)),
        ("next time", shown(schedule.next_time)),
    ]
}

/// Runs the command.
pub async fn run(context: Context, command: ScheduleCommand) -> Result<Exit> {
    match command {
        ScheduleCommand::Create { name: own, operation, words, change, connection } => {
            let client = connect(connection)?;
            let body = wanted(&client, name(&own)?, name(&operation)?, words).await?;
            let call = change::call(&change, None);
            output::one(context.format, &client.create_schedule(&body, &call).await?, lines)?;
            change::only_checked(change.validate_only);
        }
        ScheduleCommand::Get { name: own, connection } => {
            let schedule = connect(connection)?.schedule(&name(&own)?).await?;
            output::one(context.format, &schedule, lines)?;
        }
        ScheduleCommand::List { connection } => {
            let client = connect(connection)?;
            let found = all(1000, |page_size, page_token| {
                let query = PageQuery { page_size: Some(page_size), page_token };
                let client = &client;
                async move { client.schedules(&query).await }
            })
            .await?;
            output::list(context.format, &found)?;
        }
        ScheduleCommand::Update { name: own, operation, words, no_deadline, change, connection } => {
            let client = connect(connection)?;
            let now = client.schedule(&name(&own)?).await?;
            let body = UpdateSchedule {
                operation: operation.as_deref().map(name).transpose()?,
                deadline: if no_deadline {
                    Some(None)
                } else {
                    deadline(words.deadline.as_deref())?.map(Some)
                },
                ..changed(&client, words).await?
            };
            let call = change::call(&change, Some(now.etag));
            let changed = client.update_schedule(&now.name, &body, &call).await?;
            output::one(context.format, &changed, lines)?;
            change::only_checked(change.validate_only);
        }
        ScheduleCommand::Pause { name: own, reason, change, connection } => {
            let body = PauseSchedule { reason };
            let call = change::call(&change, None);
            let paused = connect(connection)?.pause_schedule(&name(&own)?, &body, &call).await?;
            output::one(context.format, &paused, lines)?;
            change::only_checked(change.validate_only);
        }
        ScheduleCommand::Resume { name: own, reason, change, connection } => {
            let body = AskSchedule { reason };
            let call = change::call(&change, None);
            let resumed = connect(connection)?.resume_schedule(&name(&own)?, &body, &call).await?;
            output::one(context.format, &resumed, lines)?;
            change::only_checked(change.validate_only);
        }
        ScheduleCommand::Run { name: own, reason, ask } => {
            let (call, client) = call(ask)?;
            let runs = client.run_schedule(&name(&own)?, &AskSchedule { reason }, &call).await?;
            asked(context, &runs)?;
        }
        ScheduleCommand::Backfill { name: own, from, until, reason, ask } => {
            let (call, client) = call(ask)?;
            let own: ScheduleName = name(&own)?;
            let zone = zone_of(&client.schedule(&own).await?.time_zone)?;
            let body = BackfillSchedule {
                from: moment(&from, &zone, civil::Time::midnight())?,
                until: moment(&until, &zone, civil::Time::MAX)?,
                reason,
            };
            asked(context, &client.backfill_schedule(&own, &body, &call).await?)?;
        }
        ScheduleCommand::Runs { name: own, limit, connection } => {
            let client = connect(connection)?;
            let own: ScheduleName = name(&own)?;
            let found = all(limit, |page_size, page_token| {
                let query = PageQuery { page_size: Some(page_size), page_token };
                let (client, own) = (&client, &own);
                async move { client.schedule_runs(own, &query).await }
            })
            .await?;
            output::list(context.format, &found)?;
        }
        ScheduleCommand::Preview { name: Some(own), after, count, connection, .. } => {
            let query = PreviewQuery { after, count: Some(count) };
            let found = connect(connection)?.preview_schedule(&name(&own)?, &query).await?;
            let rows = found.times.iter().map(|time| vec![time.local.clone(), output::word(&time.clock)]);
            preview(context, &found, rows)?;
        }
        ScheduleCommand::Preview { name: None, cron, time_zone, after, count, .. } => {
            let times = line(&cron.unwrap_or_default(), &time_zone.unwrap_or_default())?;
            preview_line(context, &times, after.unwrap_or_else(Timestamp::now), count)?;
        }
        ScheduleCommand::Delete { name: own, change, connection } => {
            let client = connect(connection)?;
            let now = client.schedule(&name(&own)?).await?;
            client.delete_schedule(&now.name, &change::call(&change, Some(now.etag))).await?;
            change::only_checked(change.validate_only);
        }
    }
    Ok(Exit::Done)
}

fn call(ask: Ask) -> Result<(Call, Client)> {
    let call = Call { key: ask.idempotency_key, validate_only: ask.validate_only, ..Call::default() };
    Ok((call, connect(ask.connection)?))
}

fn asked(context: Context, runs: &AskedRuns) -> Result<()> {
    output::list(context.format, &runs.runs)
}

fn preview<T: serde::Serialize>(
    context: Context,
    document: &T,
    rows: impl IntoIterator<Item = Vec<String>>,
) -> Result<()> {
    match context.format {
        Format::Table => output::table(&["time", "clock"], rows),
        format => output::document(format, document),
    }
}

/// The times of a line that is in no schedule.
fn preview_line(context: Context, times: &Times, after: Timestamp, count: u32) -> Result<()> {
    let count = usize::try_from(count.clamp(1, 1000)).unwrap_or_default();
    let shown =
        |at: Timestamp| at.to_zoned(times.zone().clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
    let row = |time: tenantry_schedule::Occurrence| vec![shown(time.at), clock(time.hour).to_owned()];
    let rows: Vec<_> = times.after(after).take(count).map(row).collect();
    preview(context, &rows, rows.clone())
}

fn clock(hour: Hour) -> &'static str {
    match hour {
        Hour::Plain => "plain",
        Hour::Skipped => "skipped",
        Hour::RepeatedFirst => "repeated-first",
        Hour::RepeatedSecond => "repeated-second",
    }
}

/// A line that is in no schedule, judged here: no manager is needed to try one out.
fn line(cron: &str, time_zone: &str) -> Result<Times> {
    Ok(Times::new(cron.parse().map_err(usage)?, zone_of(time_zone)?))
}

fn zone_of(time_zone: &str) -> Result<TimeZone> {
    tenantry_schedule::zone(time_zone).map_err(usage)
}

/// A time that was typed: with an offset, or in the zone; a day alone stands for `time` on it.
fn moment(text: &str, zone: &TimeZone, time: civil::Time) -> Result<Timestamp> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let wall = if text.len() == "2026-11-01".len() {
        text.parse::<civil::Date>().map(|day| day.to_datetime(time))
    } else {
        text.parse::<civil::DateTime>()
    };
    let wall = wall.map_err(|error| {
        usage(format!(
            "{text:?} is no time: write 2026-11-01, 2026-11-01T22:00 or 2026-11-01T22:00:00Z ({error})"
        ))
    })?;
    zone.to_timestamp(wall).map_err(usage)
}

async fn wanted(
    client: &Client,
    own: ScheduleName,
    operation: tenantry_model::OperationName,
    words: ScheduleWords,
) -> Result<CreateSchedule> {
    let deadline = deadline(words.deadline.as_deref())?;
    let missing = |what: &str| usage(format!("a schedule needs {what}"));
    let change = changed(client, words).await?;
    Ok(CreateSchedule {
        name: own,
        description: change.description.unwrap_or_default(),
        operation,
        parameters: change.parameters.unwrap_or_default(),
        target: change.target.ok_or_else(|| missing("--environment or --selector"))?,
        cron: change.cron.ok_or_else(|| missing("--cron"))?,
        time_zone: change.time_zone.ok_or_else(|| missing("--time-zone"))?,
        catch_up: change.catch_up.unwrap_or_default(),
        overlap: change.overlap.unwrap_or_default(),
        deadline,
    })
}

async fn changed(client: &Client, words: ScheduleWords) -> Result<UpdateSchedule> {
    let target = match (&words.environment, words.selector) {
        (Some(text), _) => Some(ScheduleTarget::Environment(environment(client, text).await?.id)),
        (None, Some(labels)) => Some(ScheduleTarget::Selector {
            tenant: words.tenant.as_deref().map(name).transpose()?,
            region: words.region.as_deref().map(name).transpose()?,
            labels,
            cap: words.cap.unwrap_or(CAP),
        }),
        (None, None) => None,
    };
    let parameters = pairs(&words.parameters, "parameter")?;
    Ok(UpdateSchedule {
        description: words.description,
        operation: None,
        parameters: Some(parameters).filter(|parameters| !parameters.is_empty()),
        target,
        cron: words.cron,
        time_zone: words.time_zone,
        catch_up: words.catch_up.as_deref().map(|text| word(text, "catch-up policy")).transpose()?,
        overlap: words.overlap.as_deref().map(|text| word(text, "overlap policy")).transpose()?,
        deadline: None,
    })
}

fn deadline(text: Option<&str>) -> Result<Option<RunDeadline>> {
    text.map(|text| text.parse().map_err(usage)).transpose()
}
