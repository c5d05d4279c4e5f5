-- Finished operations by the time of their end, in milliseconds: retention begins with the oldest and stops at the first
-- that is young. An expression and no column, so that rows which change all the time are not parsed.
CREATE INDEX operations_ended ON operations (tenantry_millis(tenantry_json(payload) ->> 'endedAt'), id)
    WHERE finished = 1;

-- Rows that change several times in their life find room for it on their page: then no index learns of it.
ALTER TABLE operations SET (fillfactor = 70);
ALTER TABLE steps SET (fillfactor = 70);
ALTER TABLE attempts SET (fillfactor = 70);
ALTER TABLE environments SET (fillfactor = 70);
ALTER TABLE versions SET (fillfactor = 50);
ALTER TABLE applied SET (fillfactor = 70);
ALTER TABLE regions SET (fillfactor = 50);
