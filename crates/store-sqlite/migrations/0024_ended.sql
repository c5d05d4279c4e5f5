-- Finished operations by the time of their end, in milliseconds: retention begins with the oldest and stops at the first
-- that is young.
ALTER TABLE operations ADD COLUMN ended_at INTEGER GENERATED ALWAYS AS
    (CAST(round(unixepoch(json_extract(payload, '$.endedAt'), 'subsec') * 1000) AS INTEGER)) VIRTUAL;
CREATE INDEX operations_ended ON operations (ended_at, id) WHERE finished = 1;
