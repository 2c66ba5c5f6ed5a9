-- Who may write, and how often something was written: one row. `revision` grows with every write,
-- and `writer` marks who made the newest. The holder of the newest term of a Lease writes; term 0
-- where there never was a Lease.
CREATE TABLE ledger_state (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL,
    writer   TEXT,
    term     INTEGER NOT NULL,
    holder   TEXT NOT NULL,
    led_at   TEXT
) STRICT;

INSERT INTO ledger_state (id, revision, term, holder) VALUES (1, 0, 0, '');
