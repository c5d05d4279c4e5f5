-- Work that exists once, and who does it. `fencing` grows with every new holder and never goes back.
CREATE TABLE leases (
    name    TEXT NOT NULL PRIMARY KEY,
    holder  TEXT NOT NULL,
    until   INTEGER NOT NULL,
    fencing INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
