-- Schedules, and one row for each of their times and environments. As in 0001: `payload` is the row, other columns are
-- derived from it. `due` is the next time of a schedule that is not paused.

CREATE TABLE schedules (
    id      TEXT NOT NULL PRIMARY KEY,
    name    TEXT NOT NULL,
    due     INTEGER,
    payload TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX schedules_name ON schedules (name);
CREATE INDEX schedules_due ON schedules (due, id) WHERE due IS NOT NULL;

-- The key is what makes a time run once. `deadline` is null for a run without one.
CREATE TABLE schedule_runs (
    schedule    TEXT NOT NULL,
    environment TEXT NOT NULL,
    at          INTEGER NOT NULL,
    state       TEXT NOT NULL,
    operation   TEXT,
    deadline    INTEGER,
    payload     TEXT NOT NULL,
    PRIMARY KEY (schedule, environment, at)
) STRICT, WITHOUT ROWID;
CREATE INDEX schedule_runs_due ON schedule_runs (at, schedule, environment) WHERE state = 'due';
CREATE INDEX schedule_runs_open ON schedule_runs (schedule, environment, at) WHERE state IN ('due', 'waiting', 'requested');
CREATE INDEX schedule_runs_watched ON schedule_runs (operation) WHERE state = 'requested' AND deadline IS NOT NULL;
CREATE INDEX schedule_runs_ended ON schedule_runs (at) WHERE state IN ('ended', 'skipped');
CREATE UNIQUE INDEX schedule_runs_operation ON schedule_runs (operation) WHERE operation IS NOT NULL;
CREATE INDEX schedule_runs_newest ON schedule_runs (schedule, at, environment);
