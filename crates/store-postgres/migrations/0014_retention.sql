-- A payload as JSON. PostgreSQL refuses the character 0 in texts of JSON values, and payloads may hold it.
CREATE FUNCTION tenantry_json(payload TEXT) RETURNS JSON LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT replace(payload, '\u0000', '\ufffd')::json $$;

-- Milliseconds since 1970 of a time with its zone, as payloads have them: the same in every session.
CREATE FUNCTION tenantry_millis(at TEXT) RETURNS BIGINT LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT round(extract(epoch FROM at::timestamptz) * 1000)::bigint $$;

-- What keeps a finished operation from being removed, each found by an index: newer ones of its name, those that replay
-- it or restore from it, steps that kept its outputs, hooks that it was the last to touch.
CREATE INDEX operations_environment_name ON operations (environment, name, id);
ALTER TABLE operations
    ADD COLUMN replay_of TEXT COLLATE "C" GENERATED ALWAYS AS (tenantry_json(payload) #>> '{replay,of}') STORED,
    ADD COLUMN backup_of TEXT COLLATE "C" GENERATED ALWAYS AS (tenantry_json(payload) #>> '{parameters,backup}') STORED;
CREATE INDEX operations_replay_of ON operations (replay_of) WHERE replay_of IS NOT NULL;
CREATE INDEX operations_backup_of ON operations (backup_of) WHERE backup_of IS NOT NULL;
ALTER TABLE applied
    ADD COLUMN operation TEXT COLLATE "C" GENERATED ALWAYS AS (tenantry_json(payload) ->> 'operation') STORED;
CREATE INDEX applied_operation ON applied (operation);

-- Settled attention by the time of its end, in milliseconds.
ALTER TABLE attentions
    ADD COLUMN settled_at BIGINT GENERATED ALWAYS AS (tenantry_millis(tenantry_json(payload) ->> 'settledAt')) STORED;
CREATE INDEX attentions_settled_at ON attentions (settled_at, id) WHERE settled_at IS NOT NULL;

-- Versions of hooks that unfinished operations may start, without reading a step's payload.
ALTER TABLE steps
    ADD COLUMN kept_from TEXT COLLATE "C" GENERATED ALWAYS AS (tenantry_json(payload) #>> '{kept,operation}') STORED,
    ADD COLUMN region    TEXT COLLATE "C" GENERATED ALWAYS AS (split_part(hook, '/', 1)) STORED,
    ADD COLUMN template  TEXT COLLATE "C" GENERATED ALWAYS AS (tenantry_json(payload) ->> 'templateHash') STORED;
CREATE INDEX steps_kept_from ON steps (kept_from) WHERE kept_from IS NOT NULL;
CREATE INDEX steps_template ON steps (operation, region, template);
