-- What Argo runs for an operation. As in 0001: `payload` is the row, other columns are derived from it. `deliver_at` is null
-- for a Workflow whose event is not delivered any more.
CREATE TABLE workflows (
    operation  TEXT NOT NULL REFERENCES operations (id) DEFERRABLE INITIALLY DEFERRED,
    region     TEXT NOT NULL,
    round      INTEGER NOT NULL,
    deliver_at INTEGER,
    payload    TEXT NOT NULL,
    PRIMARY KEY (operation, region, round)
) STRICT;
CREATE INDEX workflows_due ON workflows (deliver_at, operation, region, round) WHERE deliver_at IS NOT NULL;

CREATE TABLE bridges (
    operation TEXT NOT NULL REFERENCES operations (id) DEFERRABLE INITIALLY DEFERRED,
    hook      TEXT NOT NULL,
    payload   TEXT NOT NULL,
    PRIMARY KEY (operation, hook)
) STRICT;
