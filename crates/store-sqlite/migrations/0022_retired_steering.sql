-- What pointed at operations that retention had removed goes after them; from now on it goes with them.
DELETE FROM approvals
WHERE operation IS NOT NULL AND NOT EXISTS (SELECT 1 FROM operations o WHERE o.id = approvals.operation);
DELETE FROM replays
WHERE NOT EXISTS (SELECT 1 FROM operations o WHERE o.id = replays.original)
   OR NOT EXISTS (SELECT 1 FROM operations o WHERE o.id = replays.replay);

-- A removed replay is found from its own side too.
CREATE INDEX replays_replay ON replays (replay);
