-- Who, what and when as columns that follow from the payload, for lists over all chains. Milliseconds: the finest that
-- the manager writes.
ALTER TABLE audit ADD COLUMN actor TEXT GENERATED ALWAYS AS (json_extract(payload, '$.actor.name')) VIRTUAL;
ALTER TABLE audit ADD COLUMN action TEXT GENERATED ALWAYS AS (json_extract(payload, '$.action')) VIRTUAL;
ALTER TABLE audit ADD COLUMN at INTEGER
    GENERATED ALWAYS AS (CAST(round(unixepoch(json_extract(payload, '$.at'), 'subsec') * 1000) AS INTEGER)) VIRTUAL;
CREATE INDEX audit_at ON audit (at, chain, position);
CREATE INDEX audit_actor ON audit (actor, at, chain, position);
CREATE INDEX audit_action ON audit (action, at, chain, position);

-- Each chain's newest position, and the one that the newest signed head names: what is not sealed yet is found by an
-- index of its own, however many chains there are.
CREATE TABLE audit_chains (
    chain    TEXT NOT NULL PRIMARY KEY,
    position INTEGER NOT NULL,
    sealed   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO audit_chains (chain, position, sealed) SELECT chain, max(position), 0 FROM audit GROUP BY chain;
CREATE INDEX audit_chains_unsealed ON audit_chains (chain, position, sealed) WHERE sealed < position;

-- Signed heads, as they were signed.
CREATE TABLE audit_heads (
    number  INTEGER NOT NULL PRIMARY KEY,
    payload TEXT NOT NULL
) STRICT;
