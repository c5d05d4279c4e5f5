-- Which hooks concern an operation: those with a version, current or last good, that is registered for it. Under '' are those
-- whose current version cannot be read: nobody knows what they are for. Follows from `hooks`, by its triggers; no archive has it.
CREATE TABLE hook_operations (
    region    TEXT NOT NULL,
    operation TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name      TEXT NOT NULL,
    PRIMARY KEY (region, operation, namespace, name),
    FOREIGN KEY (region, namespace, name) REFERENCES hooks ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX hook_operations_hook ON hook_operations (region, namespace, name);

-- What it is to say.
CREATE VIEW hooks_concerned (region, operation, namespace, name) AS
SELECT h.region, o.value, h.namespace, h.name FROM hooks h, json_each(h.payload, '$.current.operations') o
UNION SELECT h.region, o.value, h.namespace, h.name FROM hooks h, json_each(h.payload, '$.lastGood.operations') o
UNION SELECT region, '', namespace, name FROM hooks WHERE json_extract(payload, '$.current.operations') IS NULL;

CREATE TRIGGER hooks_inserted AFTER INSERT ON hooks BEGIN
    INSERT INTO hook_operations (region, operation, namespace, name)
    SELECT region, operation, namespace, name FROM hooks_concerned
    WHERE region = new.region AND namespace = new.namespace AND name = new.name;
END;

-- Most writes change when a version was planned, and nothing of this.
CREATE TRIGGER hooks_updated AFTER UPDATE OF payload ON hooks
WHEN json_extract(old.payload, '$.current.operations') IS NOT json_extract(new.payload, '$.current.operations')
    OR json_extract(old.payload, '$.lastGood.operations') IS NOT json_extract(new.payload, '$.lastGood.operations')
BEGIN
    DELETE FROM hook_operations WHERE region = new.region AND namespace = new.namespace AND name = new.name;
    INSERT INTO hook_operations (region, operation, namespace, name)
    SELECT region, operation, namespace, name FROM hooks_concerned
    WHERE region = new.region AND namespace = new.namespace AND name = new.name;
END;

INSERT INTO hook_operations (region, operation, namespace, name)
SELECT region, operation, namespace, name FROM hooks_concerned;
