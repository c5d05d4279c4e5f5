//! Every stable code of a problem document: its status, its title, whose fault it is, and what to do.
//!
//! docs/errors/README.md and `/errors/{code}` are written from this list, so a code that is not in it does not
//! exist. It must never know how a problem came about: that is the problem's own `detail`.

use tenantry_api_types::v1::Fault;

/// One stable code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// Kebab-case; never changes its meaning.
    pub code: &'static str,
    /// HTTP status.
    pub status: u16,
    /// A few words; equal for every problem of this code.
    pub title: &'static str,
    /// Whose fault it is.
    pub fault: Fault,
    /// The same request may succeed later.
    pub retryable: bool,
    /// What to do about it.
    pub remedy: &'static str,
}

const fn code(
    code: &'static str,
    status: u16,
    fault: Fault,
    retryable: bool,
    title: &'static str,
    remedy: &'static str,
) -> Code {
    Code { code, status, title, fault, retryable, remedy }
}

use Fault::{Client, Region, Server};

/// All codes, by name.
pub const CODES: &[Code] = &[
    code(
        "already-exists",
        409,
        Client,
        false,
        "A unique name is taken",
        "Choose another name, or read the resource that has it. After an unanswered request, repeat it with the same Idempotency-Key instead of a new one.",
    ),
    code(
        "approval-decided",
        409,
        Client,
        false,
        "The approval can be decided no more",
        "`current` says what it is. If the verb is still wanted, ask for it again.",
    ),
    code(
        "audit-key-unavailable",
        503,
        Server,
        true,
        "The key of the audit log cannot be used",
        "Look at the manager's log: its key file (setting `audit-key`) or the place for signed heads (`audit-heads`) cannot be read or written.",
    ),
    code(
        "backup-unusable",
        409,
        Client,
        false,
        "The backup cannot be restored",
        "Name a `lifecycle.backup` operation of the same environment that succeeded.",
    ),
    code(
        "body-too-large",
        413,
        Client,
        false,
        "The request's body is too large",
        "The limit is 2 MiB for every request; the detail states it. Keep large data out of the settings and refer to it.",
    ),
    code(
        "built-in",
        409,
        Client,
        false,
        "A built-in definition cannot be changed so",
        "Of a built-in definition, change only what the detail names, or define an operation of your own.",
    ),
    code(
        "busy",
        503,
        Server,
        true,
        "Too many changes at the same moment",
        "Repeat the request with the same Idempotency-Key after a pause.",
    ),
    code(
        "cron-invalid",
        422,
        Client,
        false,
        "A cron line cannot be read",
        "Write five fields: minute, hour, day of the month, month, day of the week. `tenantry schedule preview --cron … --time-zone …` shows what a line means.",
    ),
    code(
        "cron-never-fires",
        422,
        Client,
        false,
        "A cron line never fires",
        "Its days do not exist in its months (30 February). `tenantry schedule preview` shows what a line means.",
    ),
    code(
        "cron-too-often",
        422,
        Client,
        false,
        "A cron line fires more often than every minute",
        "Leave the field for seconds away: the shortest interval is one minute. For more, let the operation itself go on.",
    ),
    code(
        "environment-state",
        409,
        Client,
        false,
        "The environment's state does not allow it",
        "The detail and `current` say the state. Bring the environment into a state that allows it first.",
    ),
    code(
        "event-form",
        415,
        Client,
        false,
        "The body is in no form of a CloudEvent",
        "Send the event whole with `Content-Type: application/cloudevents+json`, or its data as `application/json` with `ce-` headers. Batches are not taken. See docs/guide/events.md, `Operations by event`.",
    ),
    code(
        "event-id-reused",
        422,
        Client,
        false,
        "Another event has the same source and id",
        "Give each event an id of its own, and change nothing of one that is sent again.",
    ),
    code(
        "event-invalid",
        422,
        Client,
        false,
        "The event breaks a rule",
        "`errors` says where. The schema of its data is docs/schemas/events/io.tenantry.operation.request.v1.json.",
    ),
    code(
        "event-too-old",
        422,
        Client,
        false,
        "The event is too old to be carried out",
        "It may have been carried out when nobody remembers it any more (setting `event-max-age`). If it is still wanted, send a new one with another id.",
    ),
    code(
        "event-type",
        422,
        Client,
        false,
        "Events of this type are not taken",
        "Send `io.tenantry.operation.request.v1`.",
    ),
    code(
        "forbidden",
        403,
        Client,
        false,
        "The credential does not allow it",
        "Use a credential with the role and scope that the detail names. For a caller whose scopes are limited this is also the answer to a change of something that does not exist.",
    ),
    code(
        "hold-too-wide",
        422,
        Client,
        false,
        "The hold would catch too much",
        "`current` holds the numbers. Narrow the predicate, or state in `maxSteps` how many steps it may hold now.",
    ),
    code(
        "hook-present",
        409,
        Client,
        false,
        "The hook is still in its region",
        "Delete the Job in its region (remove it from the Git repository that Argo CD applies), then retire the hook.",
    ),
    code(
        "idempotency-key-invalid",
        400,
        Client,
        false,
        "The Idempotency-Key cannot be used",
        "Send 1 to 255 visible ASCII characters; a new UUID for each new request is best.",
    ),
    code(
        "idempotency-key-required",
        400,
        Client,
        false,
        "The Idempotency-Key is missing",
        "Every POST of `/v1` needs the header `Idempotency-Key`, so that it can be repeated safely; only `validateOnly=true` does without.",
    ),
    code(
        "idempotency-key-reused",
        422,
        Client,
        false,
        "The Idempotency-Key was used for another request",
        "Use a new key for a new request. The same key is only for the same method, path, query and body.",
    ),
    code(
        "identity-unavailable",
        503,
        Server,
        true,
        "The keys of a region of Argo cannot be read",
        "The manager's log names the file and what is wrong with it. The bridge repeats its call by itself.",
    ),
    code(
        "if-match-invalid",
        400,
        Client,
        false,
        "The If-Match header cannot be read",
        "Send the `etag` of the resource unchanged, with its quotation marks.",
    ),
    code(
        "if-match-required",
        428,
        Client,
        false,
        "The If-Match header is missing",
        "Read the resource, and send its `etag` as `If-Match`, so that nobody else's change is overwritten.",
    ),
    code(
        "internal",
        500,
        Server,
        true,
        "Something is wrong inside tenantry",
        "Repeat the request; if it stays, report it with the `instance`: it finds the server's log lines.",
    ),
    code(
        "invalid-body",
        400,
        Client,
        false,
        "The body is JSON, but not what is expected",
        "`errors` says where: a member that does not exist, is missing, or has another type. Members are never ignored in silence.",
    ),
    code(
        "invalid-last-event-id",
        400,
        Client,
        false,
        "The Last-Event-ID is not of this stream",
        "Send the id of the last message unchanged, or none: then the stream begins now.",
    ),
    code("invalid-name", 422, Client, false, "A name breaks its rule", "The detail says which rule."),
    code(
        "invalid-page-token",
        400,
        Client,
        false,
        "The page token is not of this list",
        "Send `nextPageToken` of the page before unchanged, with the same filters.",
    ),
    code(
        "invalid-path",
        400,
        Client,
        false,
        "A part of the path cannot be read",
        "`errors` says which part and what it must look like (an id is a UUID, a step is `region.namespace.name`).",
    ),
    code(
        "invalid-query",
        400,
        Client,
        false,
        "A query parameter cannot be read",
        "`errors` says which. Parameters that do not exist are refused.",
    ),
    code(
        "invalid-request",
        422,
        Client,
        false,
        "The request breaks a rule",
        "`errors` holds each place with its rule: correct them all and send it again.",
    ),
    code(
        "invalid-schema",
        422,
        Client,
        false,
        "A schema is no JSON Schema",
        "The detail says where it breaks.",
    ),
    code(
        "inventory-restart",
        409,
        Region,
        true,
        "Pages of the region's inventory are missing",
        "For agents: send the whole inventory again.",
    ),
    code(
        "letter-unusable",
        409,
        Client,
        false,
        "A refused message cannot be tried again",
        "The detail says why. Have its sender send it again, or discard it: `tenantry event inbox discard`.",
    ),
    code(
        "logs-unavailable",
        503,
        Server,
        true,
        "The log cannot be read or written",
        "Look at the manager's disk and its log folder; then repeat the request.",
    ),
    code("malformed-json", 400, Client, false, "The body is no JSON", "`errors` says line and column."),
    code(
        "method-not-allowed",
        405,
        Client,
        false,
        "The path does not know this method",
        "The header `Allow` lists the methods that it knows.",
    ),
    code(
        "moved-on",
        409,
        Client,
        false,
        "It is in another state than the caller expected",
        "`current` holds the present state: look at it and decide again.",
    ),
    code(
        "no-dependency",
        409,
        Client,
        false,
        "The step does not wait for that step",
        "`after` and `ignored` of the step say what it waits for and what it was already told to ignore.",
    ),
    code(
        "not-found",
        404,
        Client,
        false,
        "It does not exist",
        "Check the id or name. What lies outside of the credential's scopes is answered in the same way.",
    ),
    code(
        "operation-conflict",
        409,
        Client,
        true,
        "Another operation is in the way",
        "Wait for the operations that the detail names, cancel them, or ask with another `onConflict`.",
    ),
    code(
        "operation-state",
        409,
        Client,
        false,
        "The operation's state does not allow it",
        "Read the operation; a verb needs one that is running.",
    ),
    code(
        "outcome-unknown",
        503,
        Server,
        true,
        "The connection to the database broke during the commit",
        "Repeat the request with the same Idempotency-Key: if it was carried out, it is answered as it would have been and nothing is done twice. Without a key, look at the resource first.",
    ),
    code(
        "outputs-too-large",
        422,
        Client,
        false,
        "The outputs are too large",
        "Outputs are at most 4 KiB as JSON.",
    ),
    code(
        "protocol-version",
        426,
        Region,
        false,
        "The agent speaks another version of the protocol",
        "Upgrade the agent, or the manager: the detail names both versions.",
    ),
    code(
        "purge-other-name",
        422,
        Client,
        false,
        "Another name was typed",
        "A purge cannot be undone: look at which environment it is. `current` holds its name, which is what `name` must say (`--confirm`).",
    ),
    code(
        "purge-too-early",
        409,
        Client,
        true,
        "The environment can still be undeleted",
        "`current` says until when. Purge it after that, or say that it is to go before (`beforeRetentionEnds`; `tenantry env purge --now`).",
    ),
    code(
        "purge-unfinished",
        409,
        Client,
        true,
        "Operations of the environment have not ended",
        "Wait for the operations that `current` names, or cancel them.",
    ),
    code(
        "reason-required",
        422,
        Client,
        false,
        "A reason is required",
        "Say why in `reason`: it goes into the audit log.",
    ),
    code(
        "region-fixed",
        409,
        Client,
        false,
        "The region cannot be changed by an update",
        "Hooks have run there for the environment: migrate it.",
    ),
    code(
        "region-of-argo",
        409,
        Region,
        false,
        "The region is one of Argo",
        "Hooks of this region run in Workflows of Argo: stop the agent, or take the region out of the manager's regions of Argo.",
    ),
    code(
        "replay-deselected",
        422,
        Client,
        false,
        "The replay is to begin with a step that does not run",
        "The detail names the selector that leaves it out and the environment's labels. Begin with a step before or \
         after it, or change the labels or the selector and replay with `versions: current`.",
    ),
    code(
        "replay-hook-gone",
        409,
        Client,
        false,
        "A hook that the replay needs is gone",
        "Bring the hook back, or replay with `versions: current`.",
    ),
    code(
        "replay-inputs-gone",
        409,
        Client,
        false,
        "The environment as it was is not kept any more",
        "Run the operation anew: the generation that the original applied is past its retention.",
    ),
    code(
        "replay-refused",
        409,
        Client,
        false,
        "The replay would have no plan",
        "The detail says why; with `versions: frozen` the original's own plan is used.",
    ),
    code(
        "replay-template-gone",
        409,
        Client,
        false,
        "A version that the replay needs is gone",
        "The region keeps versions for a limited time. Replay with `versions: current`.",
    ),
    code(
        "replay-unknown-step",
        422,
        Client,
        false,
        "The original has no such step",
        "Read the original: each step has an `id`, `from` takes its `hook`.",
    ),
    code(
        "request-already-applied",
        409,
        Client,
        false,
        "The request was carried out, and its answer held a secret that is shown once",
        "Only requests that make a token or a join token end here: every other request is answered again as it was. A secret is kept nowhere. If the answer is lost, revoke the token that the detail names (`tenantry token revoke ID`) and make another one under a new key.",
    ),
    code(
        "retention-clock",
        409,
        Client,
        false,
        "The clock is in doubt, so nothing is removed",
        "Look at the clocks that the detail names and set the one that is wrong. If the manager's clock is right (nothing \
         ran for more than a week, or an older archive was imported), look at what will go (`tenantry retention preview`) \
         and say so: `tenantry retention run --clock-is-right`.",
    ),
    code(
        "revision-mismatch",
        412,
        Client,
        false,
        "The resource has changed",
        "Read it again, see whether the change still fits, and send it with the new `etag`.",
    ),
    code("route-not-found", 404, Client, false, "There is no such path", "`/openapi.json` lists every path."),
    code(
        "schedule-too-wide",
        409,
        Client,
        false,
        "More environments match than the schedule may run for",
        "Nothing was run. Narrow the selector, or raise `cap` after looking at what it matches.",
    ),
    code(
        "second-person",
        403,
        Client,
        false,
        "A second person is needed",
        "Approve with another credential that has at least the role of the one that asked.",
    ),
    code(
        "session-expired",
        409,
        Region,
        false,
        "The region has no session",
        "For agents: open a new session.",
    ),
    code(
        "session-superseded",
        409,
        Region,
        false,
        "Another agent has taken over the region",
        "A region has one agent at a time: stop one of the two.",
    ),
    code("stopping", 503, Server, true, "The server is stopping", "Repeat the request in a moment."),
    code(
        "store-conflict",
        503,
        Server,
        true,
        "Other writers came in between",
        "Repeat the request: nothing was done, although it was tried several times. If it goes on, look at the database's load and locks.",
    ),
    code(
        "store-damaged",
        500,
        Server,
        false,
        "Stored data cannot be read",
        "Restore the data folder or the database from a backup; the server's log names the row.",
    ),
    code(
        "store-unavailable",
        503,
        Server,
        true,
        "The store cannot be used",
        "Look at the manager's disk, its data folder (or its database) and its log; then repeat the request. Nothing was half done.",
    ),
    code(
        "tenant-in-use",
        409,
        Client,
        false,
        "The tenant has environments",
        "Decommission and purge its environments first.",
    ),
    code(
        "time-zone-unknown",
        422,
        Client,
        false,
        "There is no such time zone",
        "Use an IANA name in its own spelling (`Europe/Berlin`, `UTC`); the detail names the nearest ones.",
    ),
    code(
        "timeout",
        503,
        Server,
        true,
        "The request took too long",
        "Repeat the request with the same Idempotency-Key.",
    ),
    code("too-large", 413, Client, false, "A document is too large", "The detail states size and limit."),
    code(
        "too-many-operations",
        409,
        Client,
        true,
        "Too many operations wait",
        "Wait for some of the environment's operations, or cancel them.",
    ),
    code(
        "unauthenticated",
        401,
        Client,
        false,
        "The credential is missing, unknown, expired or revoked",
        "Send `Authorization: Bearer <token>` with a token of this server.",
    ),
    code(
        "unknown-attempt",
        404,
        Client,
        false,
        "The step has no such attempt",
        "Read the operation: each step lists its attempts.",
    ),
    code(
        "unknown-step",
        404,
        Client,
        false,
        "The operation has no such step",
        "Read the operation: each step has an `id`.",
    ),
    code(
        "unsupported-media-type",
        415,
        Client,
        false,
        "The body has another content type",
        "Send `Content-Type: application/json`.",
    ),
    code(
        "wrong-region",
        403,
        Client,
        false,
        "The agent's credential is of another region",
        "Put the region's own credential into the agent's folder, or empty the folder of `credential` and `region` and join again with a new `tenantry region join-token`. What the agent has seen meanwhile is kept and reported then.",
    ),
    code(
        "wrong-state",
        409,
        Client,
        false,
        "The step's state does not allow it",
        "`current` and the detail say what the step is doing.",
    ),
];

/// The entry of a code.
#[must_use]
pub fn find(code: &str) -> Option<&'static Code> {
    CODES.iter().find(|known| known.code == code)
}

/// docs/errors/README.md.
#[must_use]
pub fn page() -> String {
    let mut text = String::from(
        "# Problem codes\n\n\
         Every answer that is not what was asked for is a problem document (RFC 9457). Programs decide by its `code`;\n\
         people read `detail`. A server answers `/errors/<code>` with the section below. Generated from\n\
         `crates/api/src/codes.rs`: `UPDATE=1 cargo test -p tenantry-api`.\n",
    );
    for entry in CODES {
        text.push('\n');
        text.push_str(&section(entry));
    }
    text
}

/// The section of one code.
#[must_use]
pub fn section(entry: &Code) -> String {
    let fault = match entry.fault {
        Fault::Client => "client",
        Fault::Server => "server",
        Fault::Region => "region",
        Fault::Hook => "hook",
    };
    let again = if entry.retryable { "may succeed later" } else { "gives the same answer again" };
    format!(
        "## {}\n\n{} (status {}, fault: {fault}; the same request {again}).\n\n{}\n",
        entry.code, entry.title, entry.status, entry.remedy
    )
}
