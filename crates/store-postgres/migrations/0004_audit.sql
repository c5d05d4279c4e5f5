-- Who, what and when as columns, for lists over all chains. Derived from the payload where the row is written (PostgreSQL's
-- JSON functions refuse texts that hold the character 0). Milliseconds: the finest that the manager writes.
ALTER TABLE audit
    ADD COLUMN actor  TEXT COLLATE "C" NOT NULL,
    ADD COLUMN action TEXT COLLATE "C" NOT NULL,
    ADD COLUMN at     BIGINT NOT NULL;
CREATE INDEX audit_at ON audit (at, chain, position);
CREATE INDEX audit_actor ON audit (actor, at, chain, position);
CREATE INDEX audit_action ON audit (action, at, chain, position);

-- Each chain's newest position, and the one that the newest signed head names: what is not sealed yet is found by an
-- index of its own, however many chains there are.
CREATE TABLE audit_chains (
    chain    TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    position BIGINT NOT NULL,
    sealed   BIGINT NOT NULL
);
CREATE INDEX audit_chains_unsealed ON audit_chains (chain, position, sealed) WHERE sealed < position;

-- Signed heads, as they were signed.
CREATE TABLE audit_heads (
    number  BIGINT NOT NULL PRIMARY KEY,
    payload TEXT NOT NULL
);
