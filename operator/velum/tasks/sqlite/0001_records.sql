-- One row per resource, as the API server keeps objects. `seq` is the resource version: the number of the last change,
-- from one sequence for all records, so that "everything after n" is an index scan.
CREATE TABLE records (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    uid TEXT NOT NULL UNIQUE,
    seq INTEGER NOT NULL UNIQUE,
    generation INTEGER NOT NULL,
    created TEXT NOT NULL,
    deleted TEXT,
    finalizers TEXT NOT NULL,
    labels TEXT NOT NULL,
    annotations TEXT NOT NULL,
    spec TEXT NOT NULL,
    status TEXT NOT NULL,
    phase TEXT,
    PRIMARY KEY (kind, name)
) STRICT;

CREATE INDEX records_in_order ON records (kind, created, name);
CREATE INDEX records_by_phase ON records (kind, phase);

-- What is gone since, for readers that follow the sequence. Names only: nothing of a deleted task stays here.
CREATE TABLE tombstones (
    seq INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    name TEXT NOT NULL
) STRICT;

-- `last`: the newest seq. `pruned`: tombstones up to here were dropped; a reader that is further behind lists again.
CREATE TABLE sequence (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    last INTEGER NOT NULL,
    pruned INTEGER NOT NULL
) STRICT;

INSERT INTO sequence (id, last, pruned) VALUES (1, 0, 0);

-- Webhook headers. Apart from the records, so that no query for a task can carry one along.
CREATE TABLE secrets (
    task_uid TEXT PRIMARY KEY REFERENCES records (uid) ON DELETE CASCADE,
    header_name TEXT NOT NULL,
    header_value TEXT NOT NULL
) STRICT;

CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    task_uid TEXT NOT NULL REFERENCES records (uid) ON DELETE CASCADE,
    at TEXT NOT NULL,
    kind TEXT NOT NULL,
    reason TEXT NOT NULL,
    message TEXT NOT NULL
) STRICT;

CREATE INDEX events_of_task ON events (task_uid, id);
