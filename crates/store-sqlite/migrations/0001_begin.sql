-- Every row is its type's JSON (`payload`) beside the columns that queries need. Unless it says otherwise, a column is
-- derived from the payload.
-- Ids are text (UUIDv7 sorts by time); times are nanoseconds since 1970; regions, hooks and names are their text.

CREATE TABLE tenants (
    name    TEXT NOT NULL PRIMARY KEY,
    payload TEXT NOT NULL
) STRICT;

CREATE TABLE environments (
    id      TEXT NOT NULL PRIMARY KEY,
    tenant  TEXT NOT NULL,
    name    TEXT NOT NULL,
    region  TEXT NOT NULL,
    state   TEXT NOT NULL,
    payload TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX environments_name ON environments (tenant, name) WHERE state <> 'purged';
CREATE INDEX environments_tenant ON environments (tenant, id, region, state);
CREATE INDEX environments_region ON environments (region, id, tenant, state);
CREATE INDEX environments_state ON environments (state, id, tenant, region);

-- The version is raised with every step's change, so it is a small row of its own; it counts, not the payload's.
CREATE TABLE versions (
    environment TEXT NOT NULL PRIMARY KEY REFERENCES environments (id),
    version     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Only of environments that are not purged: a purged one gives its aliases back.
CREATE TABLE aliases (
    alias       TEXT NOT NULL PRIMARY KEY,
    environment TEXT NOT NULL REFERENCES environments (id)
) STRICT, WITHOUT ROWID;
CREATE INDEX aliases_environment ON aliases (environment);

CREATE TABLE generations (
    environment TEXT NOT NULL REFERENCES environments (id) DEFERRABLE INITIALLY DEFERRED,
    generation  INTEGER NOT NULL,
    payload     TEXT NOT NULL,
    PRIMARY KEY (environment, generation)
) STRICT;

CREATE TABLE applied (
    environment TEXT NOT NULL REFERENCES environments (id) DEFERRABLE INITIALLY DEFERRED,
    hook        TEXT NOT NULL,
    payload     TEXT NOT NULL,
    PRIMARY KEY (environment, hook)
) STRICT;

CREATE TABLE definitions (
    name    TEXT NOT NULL PRIMARY KEY,
    payload TEXT NOT NULL
) STRICT;

-- `tenant` and `region` are the environment's, copied for the lists that a scope narrows; they follow it when it moves.
CREATE TABLE operations (
    id          TEXT NOT NULL PRIMARY KEY,
    environment TEXT NOT NULL REFERENCES environments (id),
    tenant      TEXT NOT NULL,
    region      TEXT NOT NULL,
    name        TEXT NOT NULL,
    state       TEXT NOT NULL,
    finished    INTEGER NOT NULL,
    payload     TEXT NOT NULL
) STRICT;
CREATE INDEX operations_environment ON operations (environment, id, name, state);
CREATE INDEX operations_tenant ON operations (tenant, id, name, state);
CREATE INDEX operations_region ON operations (region, id, name, state);
CREATE INDEX operations_name ON operations (name, id, state);
CREATE INDEX operations_state ON operations (state, id);
CREATE INDEX operations_unfinished ON operations (id, environment, tenant, region, name, state) WHERE finished = 0;
CREATE INDEX operations_unfinished_environment ON operations (environment, id) WHERE finished = 0;

CREATE TABLE timers (
    operation TEXT NOT NULL PRIMARY KEY REFERENCES operations (id) DEFERRABLE INITIALLY DEFERRED,
    due       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX timers_due ON timers (due, operation);

CREATE TABLE steps (
    operation TEXT NOT NULL REFERENCES operations (id) DEFERRABLE INITIALLY DEFERRED,
    hook      TEXT NOT NULL,
    payload   TEXT NOT NULL,
    PRIMARY KEY (operation, hook)
) STRICT;

CREATE TABLE attempts (
    operation TEXT NOT NULL REFERENCES operations (id) DEFERRABLE INITIALLY DEFERRED,
    step      TEXT NOT NULL,
    number    INTEGER NOT NULL,
    region    TEXT NOT NULL,
    ended     INTEGER NOT NULL,
    payload   TEXT NOT NULL,
    PRIMARY KEY (operation, step, number)
) STRICT;
CREATE INDEX attempts_open ON attempts (region, operation) WHERE ended = 0;

CREATE TABLE regions (
    name    TEXT NOT NULL PRIMARY KEY,
    payload TEXT NOT NULL
) STRICT;

-- Three columns, because '/' does not sort before '-' and '.': text would not sort by namespace and name.
CREATE TABLE hooks (
    region    TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name      TEXT NOT NULL,
    payload   TEXT NOT NULL,
    PRIMARY KEY (region, namespace, name)
) STRICT;

-- A command that is done has no row. `given_out` stays set when a lease is broken or runs out: an agent may have
-- carried it out all the same.
CREATE TABLE commands (
    id            TEXT NOT NULL PRIMARY KEY,
    region        TEXT NOT NULL,
    operation     TEXT NOT NULL,
    step          TEXT NOT NULL,
    number        INTEGER NOT NULL,
    kind          TEXT NOT NULL,
    body          TEXT NOT NULL,
    lease_session TEXT,
    lease_until   INTEGER,
    given_out     INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX commands_attempt ON commands (operation, step, number, kind);
CREATE INDEX commands_region ON commands (region, id);

-- `tenant` and `home` are the environment's tenant and region, as in `operations`; `region` is the attention's own.
CREATE TABLE attentions (
    id          TEXT NOT NULL PRIMARY KEY,
    key         TEXT NOT NULL,
    settled     INTEGER NOT NULL,
    environment TEXT,
    operation   TEXT,
    region      TEXT,
    tenant      TEXT,
    home        TEXT,
    payload     TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX attentions_key ON attentions (key) WHERE settled = 0;
CREATE INDEX attentions_open ON attentions (id, operation, region, tenant, home) WHERE settled = 0;
CREATE INDEX attentions_operation ON attentions (operation, id);
CREATE INDEX attentions_environment ON attentions (environment, id);
CREATE INDEX attentions_region ON attentions (region, id);
CREATE INDEX attentions_tenant ON attentions (tenant, id);
CREATE INDEX attentions_home ON attentions (home, id);

-- One writer at a time gives positions in the order of commits: a reader never skips a row that commits late.
CREATE TABLE events (
    position    INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    environment TEXT,
    operation   TEXT,
    payload     TEXT NOT NULL
) STRICT;
CREATE INDEX events_environment ON events (environment, position) WHERE environment IS NOT NULL;
CREATE INDEX events_operation ON events (operation, position) WHERE operation IS NOT NULL;

CREATE TABLE tokens (
    id      TEXT NOT NULL PRIMARY KEY,
    payload TEXT NOT NULL
) STRICT;

CREATE TABLE idempotency (
    key          TEXT NOT NULL PRIMARY KEY,
    request_hash TEXT NOT NULL,
    status       INTEGER NOT NULL,
    body         TEXT NOT NULL,
    etag         TEXT,
    at           INTEGER NOT NULL
) STRICT;
CREATE INDEX idempotency_at ON idempotency (at);

-- `chain` is the environment's id; empty for what belongs to none.
CREATE TABLE audit (
    chain    TEXT NOT NULL,
    position INTEGER NOT NULL,
    payload  TEXT NOT NULL,
    PRIMARY KEY (chain, position)
) STRICT;

CREATE TABLE settings (
    key     TEXT NOT NULL PRIMARY KEY,
    payload TEXT NOT NULL
) STRICT;
