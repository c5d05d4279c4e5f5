-- A purge waits for a second person as a verb on a step does, and is about no operation: the column may be empty.
ALTER TABLE approvals ALTER COLUMN operation DROP NOT NULL;
DROP INDEX approvals_open;
CREATE INDEX approvals_open ON approvals (id, operation, environment, tenant, region) WHERE open = 1;
