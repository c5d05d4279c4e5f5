-- What receivers of events were not able to take. As in 0001: `payload` is the row, other columns are derived from it. Each
-- receiver's place in the outbox is a setting. `environment` is empty for what belongs to none.
CREATE TABLE parked_events (
    sink        TEXT COLLATE "C" NOT NULL,
    environment TEXT COLLATE "C" NOT NULL,
    payload     TEXT NOT NULL,
    PRIMARY KEY (sink, environment)
) WITH (fillfactor = 70);

CREATE TABLE dead_letters (
    sink     TEXT COLLATE "C" NOT NULL,
    position BIGINT NOT NULL,
    wanted   BIGINT NOT NULL,
    payload  TEXT NOT NULL,
    PRIMARY KEY (sink, position)
);
CREATE INDEX dead_letters_wanted ON dead_letters (sink, wanted, position);

-- Events for Workflows are taken region by region.
DROP INDEX workflows_due;
CREATE INDEX workflows_due ON workflows (region, deliver_at, operation, round) WHERE deliver_at IS NOT NULL;
