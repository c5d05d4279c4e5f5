-- What keeps a finished operation from being removed, each found by an index: newer ones of its name, those that replay
-- it or restore from it, steps that kept its outputs, hooks that it was the last to touch.
CREATE INDEX operations_environment_name ON operations (environment, name, id);
ALTER TABLE operations ADD COLUMN replay_of TEXT GENERATED ALWAYS AS (json_extract(payload, '$.replay.of')) VIRTUAL;
CREATE INDEX operations_replay_of ON operations (replay_of) WHERE replay_of IS NOT NULL;
ALTER TABLE operations ADD COLUMN backup_of TEXT
    GENERATED ALWAYS AS (json_extract(payload, '$.parameters.backup')) VIRTUAL;
CREATE INDEX operations_backup_of ON operations (backup_of) WHERE backup_of IS NOT NULL;
ALTER TABLE steps ADD COLUMN kept_from TEXT GENERATED ALWAYS AS (json_extract(payload, '$.kept.operation')) VIRTUAL;
CREATE INDEX steps_kept_from ON steps (kept_from) WHERE kept_from IS NOT NULL;
ALTER TABLE applied ADD COLUMN operation TEXT GENERATED ALWAYS AS (json_extract(payload, '$.operation')) VIRTUAL;
CREATE INDEX applied_operation ON applied (operation);

-- Settled attention by the time of its end, in milliseconds.
ALTER TABLE attentions ADD COLUMN settled_at INTEGER GENERATED ALWAYS AS
    (CAST(round(unixepoch(json_extract(payload, '$.settledAt'), 'subsec') * 1000) AS INTEGER)) VIRTUAL;
CREATE INDEX attentions_settled_at ON attentions (settled_at, id) WHERE settled_at IS NOT NULL;

-- Versions of hooks that unfinished operations may start, without reading a step's payload.
ALTER TABLE steps ADD COLUMN region TEXT GENERATED ALWAYS AS (substr(hook, 1, instr(hook, '/') - 1)) VIRTUAL;
ALTER TABLE steps ADD COLUMN template TEXT GENERATED ALWAYS AS (json_extract(payload, '$.templateHash')) VIRTUAL;
CREATE INDEX steps_template ON steps (operation, region, template);
