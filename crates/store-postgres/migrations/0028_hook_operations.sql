-- Which hooks concern an operation: those with a version, current or last good, that is registered for it. Under '' are those
-- whose current version cannot be read: nobody knows what they are for. Follows from `hooks`, by its trigger; no archive has it.
CREATE TABLE hook_operations (
    region    TEXT COLLATE "C" NOT NULL,
    operation TEXT COLLATE "C" NOT NULL,
    namespace TEXT COLLATE "C" NOT NULL,
    name      TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (region, operation, namespace, name),
    FOREIGN KEY (region, namespace, name) REFERENCES hooks ON DELETE CASCADE
);
CREATE INDEX hook_operations_hook ON hook_operations (region, namespace, name);

CREATE FUNCTION tenantry_hook_operations(payload TEXT) RETURNS SETOF TEXT LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
        WITH versions AS (
            SELECT tenantry_json(payload) #> '{current,operations}' AS named,
                tenantry_json(payload) #> '{lastGood,operations}' AS good
        )
        SELECT json_array_elements_text(named) FROM versions
        UNION SELECT json_array_elements_text(good) FROM versions
        UNION SELECT '' FROM versions WHERE named IS NULL
    $$;

CREATE FUNCTION tenantry_hook_changed() RETURNS TRIGGER LANGUAGE plpgsql
    AS $$
    BEGIN
        IF TG_OP = 'UPDATE' THEN
            -- Most writes change when a version was planned, and nothing of this.
            IF (SELECT array_agg(o ORDER BY o COLLATE "C") FROM tenantry_hook_operations(OLD.payload) AS o)
                = (SELECT array_agg(o ORDER BY o COLLATE "C") FROM tenantry_hook_operations(NEW.payload) AS o)
            THEN
                RETURN NULL;
            END IF;
            DELETE FROM hook_operations
            WHERE region = NEW.region AND namespace = NEW.namespace AND name = NEW.name;
        END IF;
        INSERT INTO hook_operations (region, operation, namespace, name)
        SELECT NEW.region, o, NEW.namespace, NEW.name FROM tenantry_hook_operations(NEW.payload) AS o;
        RETURN NULL;
    END
    $$;

CREATE TRIGGER hooks_changed AFTER INSERT OR UPDATE OF payload ON hooks
    FOR EACH ROW EXECUTE FUNCTION tenantry_hook_changed();

INSERT INTO hook_operations (region, operation, namespace, name)
SELECT region, o, namespace, name FROM hooks, tenantry_hook_operations(payload) AS o;
