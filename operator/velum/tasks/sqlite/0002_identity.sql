-- Who we are to others that may use the same storage: random, made once, and gone with the file. It must not be derived
-- from anything that two installations could share.
CREATE TABLE installation (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    identity TEXT NOT NULL
) STRICT;

INSERT INTO installation (id, identity) VALUES (1, lower(hex(randomblob(16))));
