-- Messages that asked for an operation and were refused. As in 0001: `payload` is the row, other columns are derived from it.
CREATE TABLE letters (
    id      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    at      BIGINT NOT NULL,
    payload TEXT NOT NULL
);
