-- What Argo runs for an operation. As in 0001: `payload` is the row, other columns are derived from it. `deliver_at` is null
-- for a Workflow whose event is not delivered any more.
CREATE TABLE workflows (
    operation  TEXT COLLATE "C" NOT NULL REFERENCES operations (id) DEFERRABLE INITIALLY DEFERRED,
    region     TEXT COLLATE "C" NOT NULL,
    round      BIGINT NOT NULL,
    deliver_at BIGINT,
    payload    TEXT NOT NULL,
    PRIMARY KEY (operation, region, round)
);
CREATE INDEX workflows_due ON workflows (deliver_at, operation, region, round) WHERE deliver_at IS NOT NULL;

-- Written again and again while its step runs, as what has room on its page since 0024.
CREATE TABLE bridges (
    operation TEXT COLLATE "C" NOT NULL REFERENCES operations (id) DEFERRABLE INITIALLY DEFERRED,
    hook      TEXT COLLATE "C" NOT NULL,
    payload   TEXT NOT NULL,
    PRIMARY KEY (operation, hook)
) WITH (fillfactor = 70);
