-- Holds by predicate. `region` is the predicate's own; NULL for one that catches hooks of any region.
CREATE TABLE holds (
    id      TEXT NOT NULL PRIMARY KEY,
    open    INTEGER NOT NULL,
    region  TEXT,
    payload TEXT NOT NULL
) STRICT;
CREATE INDEX holds_open ON holds (id, region) WHERE open = 1;
CREATE INDEX holds_region ON holds (region, id);

-- Verbs that wait for a second person. `tenant` and `region` are the environment's; they follow it when it moves.
CREATE TABLE approvals (
    id          TEXT NOT NULL PRIMARY KEY,
    open        INTEGER NOT NULL,
    operation   TEXT NOT NULL,
    environment TEXT NOT NULL REFERENCES environments (id),
    tenant      TEXT NOT NULL,
    region      TEXT NOT NULL,
    payload     TEXT NOT NULL
) STRICT;
CREATE INDEX approvals_open ON approvals (id, operation, tenant, region) WHERE open = 1;
CREATE INDEX approvals_operation ON approvals (operation, id);
CREATE INDEX approvals_environment ON approvals (environment, id);
CREATE INDEX approvals_tenant ON approvals (tenant, id);
CREATE INDEX approvals_region ON approvals (region, id);

-- The way back from an operation to those that replay it; the way there is in the operation's payload.
CREATE TABLE replays (
    original TEXT NOT NULL,
    replay   TEXT NOT NULL,
    PRIMARY KEY (original, replay)
) STRICT, WITHOUT ROWID;
