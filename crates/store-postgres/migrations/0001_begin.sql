-- Every row is its type's JSON (`payload`) beside the columns that queries need. Unless it says otherwise, a column is
-- derived from the payload.
-- Ids are text (UUIDv7 sorts by time); times are nanoseconds since 1970; regions, hooks and names are their text.
--
-- Tables and columns are those of SQLite's schema, with the same kinds of values (text and whole numbers, 0 and 1 for no
-- and yes), so that an archive of one is an archive of the other. Text that is compared or sorted is so by its bytes
-- (collation C), whatever the database's own language is.

CREATE TABLE tenants (
    name    TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    payload TEXT NOT NULL
);

CREATE TABLE environments (
    id      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant  TEXT COLLATE "C" NOT NULL,
    name    TEXT COLLATE "C" NOT NULL,
    region  TEXT COLLATE "C" NOT NULL,
    state   TEXT COLLATE "C" NOT NULL,
    payload TEXT NOT NULL
);
CREATE UNIQUE INDEX environments_name ON environments (tenant, name) WHERE state <> 'purged';
CREATE INDEX environments_tenant ON environments (tenant, id, region, state);
CREATE INDEX environments_region ON environments (region, id, tenant, state);
CREATE INDEX environments_state ON environments (state, id, tenant, region);

-- The version is raised with every step's change, so it is a small row of its own; it counts, not the payload's.
CREATE TABLE versions (
    environment TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES environments (id) DEFERRABLE INITIALLY IMMEDIATE,
    version     BIGINT NOT NULL
);

-- Only of environments that are not purged: a purged one gives its aliases back.
CREATE TABLE aliases (
    alias       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    environment TEXT COLLATE "C" NOT NULL REFERENCES environments (id) DEFERRABLE INITIALLY IMMEDIATE
);
CREATE INDEX aliases_environment ON aliases (environment);

CREATE TABLE generations (
    environment TEXT COLLATE "C" NOT NULL REFERENCES environments (id) DEFERRABLE INITIALLY DEFERRED,
    generation  BIGINT NOT NULL,
    payload TEXT NOT NULL,
    PRIMARY KEY (environment, generation)
);

CREATE TABLE applied (
    environment TEXT COLLATE "C" NOT NULL REFERENCES environments (id) DEFERRABLE INITIALLY DEFERRED,
    hook        TEXT COLLATE "C" NOT NULL,
    payload TEXT NOT NULL,
    PRIMARY KEY (environment, hook)
);

CREATE TABLE definitions (
    name    TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    payload TEXT NOT NULL
);

-- `tenant` and `region` are the environment's, copied for the lists that a scope narrows; they follow it when it moves.
CREATE TABLE operations (
    id          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    environment TEXT COLLATE "C" NOT NULL REFERENCES environments (id) DEFERRABLE INITIALLY IMMEDIATE,
    tenant      TEXT COLLATE "C" NOT NULL,
    region      TEXT COLLATE "C" NOT NULL,
    name        TEXT COLLATE "C" NOT NULL,
    state       TEXT COLLATE "C" NOT NULL,
    finished    BIGINT NOT NULL,
    payload TEXT NOT NULL
);
CREATE INDEX operations_environment ON operations (environment, id, name, state);
CREATE INDEX operations_tenant ON operations (tenant, id, name, state);
CREATE INDEX operations_region ON operations (region, id, name, state);
CREATE INDEX operations_name ON operations (name, id, state);
CREATE INDEX operations_state ON operations (state, id);
CREATE INDEX operations_unfinished ON operations (id, environment, tenant, region, name, state) WHERE finished = 0;
CREATE INDEX operations_unfinished_environment ON operations (environment, id) WHERE finished = 0;

CREATE TABLE timers (
    operation TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES operations (id) DEFERRABLE INITIALLY DEFERRED,
    due       BIGINT NOT NULL
);
CREATE INDEX timers_due ON timers (due, operation);

CREATE TABLE steps (
    operation TEXT COLLATE "C" NOT NULL REFERENCES operations (id) DEFERRABLE INITIALLY DEFERRED,
    hook      TEXT COLLATE "C" NOT NULL,
    payload TEXT NOT NULL,
    PRIMARY KEY (operation, hook)
);

CREATE TABLE attempts (
    operation TEXT COLLATE "C" NOT NULL REFERENCES operations (id) DEFERRABLE INITIALLY DEFERRED,
    step      TEXT COLLATE "C" NOT NULL,
    number    BIGINT NOT NULL,
    region    TEXT COLLATE "C" NOT NULL,
    ended     BIGINT NOT NULL,
    payload TEXT NOT NULL,
    PRIMARY KEY (operation, step, number)
);
CREATE INDEX attempts_open ON attempts (region, operation) WHERE ended = 0;

CREATE TABLE regions (
    name    TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    payload TEXT NOT NULL
);

-- Three columns, because '/' does not sort before '-' and '.': text would not sort by namespace and name.
CREATE TABLE hooks (
    region    TEXT COLLATE "C" NOT NULL,
    namespace TEXT COLLATE "C" NOT NULL,
    name      TEXT COLLATE "C" NOT NULL,
    payload TEXT NOT NULL,
    PRIMARY KEY (region, namespace, name)
);

-- A command that is done has no row. `given_out` stays set when a lease is broken or runs out: an agent may have
-- carried it out all the same.
CREATE TABLE commands (
    id            TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    region        TEXT COLLATE "C" NOT NULL,
    operation     TEXT COLLATE "C" NOT NULL,
    step          TEXT COLLATE "C" NOT NULL,
    number        BIGINT NOT NULL,
    kind          TEXT COLLATE "C" NOT NULL,
    body          TEXT NOT NULL,
    lease_session TEXT COLLATE "C",
    lease_until   BIGINT,
    given_out     BIGINT NOT NULL
);
CREATE UNIQUE INDEX commands_attempt ON commands (operation, step, number, kind);
CREATE INDEX commands_region ON commands (region, id);

-- `tenant` and `home` are the environment's tenant and region, as in `operations`; `region` is the attention's own.
CREATE TABLE attentions (
    id          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    key         TEXT COLLATE "C" NOT NULL,
    settled     BIGINT NOT NULL,
    environment TEXT COLLATE "C",
    operation   TEXT COLLATE "C",
    region      TEXT COLLATE "C",
    tenant      TEXT COLLATE "C",
    home        TEXT COLLATE "C",
    payload TEXT NOT NULL
);
CREATE UNIQUE INDEX attentions_key ON attentions (key) WHERE settled = 0;
CREATE INDEX attentions_open ON attentions (id, operation, region, tenant, home) WHERE settled = 0;
CREATE INDEX attentions_operation ON attentions (operation, id);
CREATE INDEX attentions_environment ON attentions (environment, id);
CREATE INDEX attentions_region ON attentions (region, id);
CREATE INDEX attentions_tenant ON attentions (tenant, id);
CREATE INDEX attentions_home ON attentions (home, id);

-- Rows come here under a lock that is held until their commit (see store.rs), which gives positions in the order of commits:
-- a reader never skips a row that commits late.
CREATE TABLE events (
    position    BIGINT NOT NULL PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY,
    environment TEXT COLLATE "C",
    operation   TEXT COLLATE "C",
    payload TEXT NOT NULL
);
CREATE INDEX events_environment ON events (environment, position) WHERE environment IS NOT NULL;
CREATE INDEX events_operation ON events (operation, position) WHERE operation IS NOT NULL;

CREATE TABLE tokens (
    id      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    payload TEXT NOT NULL
);

CREATE TABLE idempotency (
    key          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    request_hash TEXT COLLATE "C" NOT NULL,
    status       BIGINT NOT NULL,
    body         TEXT NOT NULL,
    etag         TEXT COLLATE "C",
    at           BIGINT NOT NULL
);
CREATE INDEX idempotency_at ON idempotency (at);

-- `chain` is the environment's id; empty for what belongs to none.
CREATE TABLE audit (
    chain    TEXT COLLATE "C" NOT NULL,
    position BIGINT NOT NULL,
    payload TEXT NOT NULL,
    PRIMARY KEY (chain, position)
);

CREATE TABLE settings (
    key     TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    payload TEXT NOT NULL
);

-- Work that exists once, and who does it. `fencing` grows with every new holder and never goes back.
CREATE TABLE leases (
    name    TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    holder  TEXT COLLATE "C" NOT NULL,
    until   BIGINT NOT NULL,
    fencing BIGINT NOT NULL
);
