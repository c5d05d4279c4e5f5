-- Holds by predicate. `region` is the predicate's own; NULL for one that catches hooks of any region.
CREATE TABLE holds (
    id      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    open    BIGINT NOT NULL,
    region  TEXT COLLATE "C",
    payload TEXT NOT NULL
);
CREATE INDEX holds_open ON holds (id, region) WHERE open = 1;
CREATE INDEX holds_region ON holds (region, id);

-- Verbs that wait for a second person. `tenant` and `region` are the environment's; they follow it when it moves.
CREATE TABLE approvals (
    id          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    open        BIGINT NOT NULL,
    operation   TEXT COLLATE "C" NOT NULL,
    environment TEXT COLLATE "C" NOT NULL REFERENCES environments (id) DEFERRABLE INITIALLY IMMEDIATE,
    tenant      TEXT COLLATE "C" NOT NULL,
    region      TEXT COLLATE "C" NOT NULL,
    payload     TEXT NOT NULL
);
CREATE INDEX approvals_open ON approvals (id, operation, tenant, region) WHERE open = 1;
CREATE INDEX approvals_operation ON approvals (operation, id);
CREATE INDEX approvals_environment ON approvals (environment, id);
CREATE INDEX approvals_tenant ON approvals (tenant, id);
CREATE INDEX approvals_region ON approvals (region, id);

-- The way back from an operation to those that replay it; the way there is in the operation's payload.
CREATE TABLE replays (
    original TEXT COLLATE "C" NOT NULL,
    replay   TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (original, replay)
);
