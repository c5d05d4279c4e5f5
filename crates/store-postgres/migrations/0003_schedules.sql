-- Schedules, and one row for each of their times and environments. As in 0001: `payload` is the row, other columns are
-- derived from it. `due` is the next time of a schedule that is not paused.

CREATE TABLE schedules (
    id      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name    TEXT COLLATE "C" NOT NULL,
    due     BIGINT,
    payload TEXT NOT NULL
);
CREATE UNIQUE INDEX schedules_name ON schedules (name);
CREATE INDEX schedules_due ON schedules (due, id) WHERE due IS NOT NULL;

-- The key is what makes a time run once. `deadline` is null for a run without one.
CREATE TABLE schedule_runs (
    schedule    TEXT COLLATE "C" NOT NULL,
    environment TEXT COLLATE "C" NOT NULL,
    at          BIGINT NOT NULL,
    state       TEXT COLLATE "C" NOT NULL,
    operation   TEXT COLLATE "C",
    deadline    BIGINT,
    payload     TEXT NOT NULL,
    PRIMARY KEY (schedule, environment, at)
);
CREATE INDEX schedule_runs_due ON schedule_runs (at, schedule, environment) WHERE state = 'due';
CREATE INDEX schedule_runs_open ON schedule_runs (schedule, environment, at) WHERE state IN ('due', 'waiting', 'requested');
CREATE INDEX schedule_runs_watched ON schedule_runs (operation) WHERE state = 'requested' AND deadline IS NOT NULL;
CREATE INDEX schedule_runs_ended ON schedule_runs (at) WHERE state IN ('ended', 'skipped');
CREATE UNIQUE INDEX schedule_runs_operation ON schedule_runs (operation) WHERE operation IS NOT NULL;
CREATE INDEX schedule_runs_newest ON schedule_runs (schedule, at, environment);
