-- A purge waits for a second person as a verb on a step does, and is about no operation: the column may be empty.
CREATE TABLE approvals_of_both (
    id          TEXT NOT NULL PRIMARY KEY,
    open        INTEGER NOT NULL,
    operation   TEXT,
    environment TEXT NOT NULL REFERENCES environments (id),
    tenant      TEXT NOT NULL,
    region      TEXT NOT NULL,
    payload     TEXT NOT NULL
) STRICT;
INSERT INTO approvals_of_both (id, open, operation, environment, tenant, region, payload)
    SELECT id, open, operation, environment, tenant, region, payload FROM approvals;
DROP TABLE approvals;
ALTER TABLE approvals_of_both RENAME TO approvals;
CREATE INDEX approvals_open ON approvals (id, operation, environment, tenant, region) WHERE open = 1;
CREATE INDEX approvals_operation ON approvals (operation, id);
CREATE INDEX approvals_environment ON approvals (environment, id);
CREATE INDEX approvals_tenant ON approvals (tenant, id);
CREATE INDEX approvals_region ON approvals (region, id);
