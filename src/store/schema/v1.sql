-- Instants are RFC 3339 text with nine decimals, days are YYYY-MM-DD, periods are YYYY-MM,
-- amounts are decimal text. Null is unknown.

-- A source that was read (then it has a provider), failed, or paid for a request.
CREATE TABLE source (
    id            INTEGER PRIMARY KEY,
    name          TEXT NOT NULL UNIQUE,
    provider      TEXT,
    next_poll     TEXT,
    failures      INTEGER NOT NULL DEFAULT 0,
    last_success  TEXT,
    failed_at     TEXT,
    error_kind    TEXT,
    error_message TEXT,
    cursor        TEXT,
    data_through  TEXT,
    restatements  INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE breakdown (
    id         INTEGER PRIMARY KEY,
    source     INTEGER NOT NULL REFERENCES source (id),
    query      TEXT NOT NULL,
    filter     TEXT NOT NULL,
    dimensions TEXT NOT NULL,
    role       TEXT NOT NULL,
    retired_at TEXT,
    UNIQUE (source, query, filter, dimensions, role)
) STRICT;

-- The dictionary of a breakdown: what is the same in a row from day to day. Keys are a JSON array.
CREATE TABLE series (
    breakdown INTEGER NOT NULL REFERENCES breakdown (id),
    ordinal   INTEGER NOT NULL,
    keys      TEXT NOT NULL,
    category  TEXT NOT NULL,
    currency  TEXT NOT NULL,
    PRIMARY KEY (breakdown, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TABLE unit (
    id   INTEGER PRIMARY KEY,
    text TEXT NOT NULL UNIQUE
) STRICT;

-- All rows of a breakdown on one day and one invoice ('' where the provider tells no invoice),
-- packed as src/store/rows.rs describes. `period` is the invoice's, else the day's.
CREATE TABLE chunk (
    id        INTEGER PRIMARY KEY,
    breakdown INTEGER NOT NULL REFERENCES breakdown (id),
    day       TEXT NOT NULL,
    invoice   TEXT NOT NULL,
    period    TEXT NOT NULL,
    packed    BLOB NOT NULL,
    UNIQUE (breakdown, day, invoice)
) STRICT;
CREATE INDEX chunk_of_period ON chunk (breakdown, period, day);

-- What is known of a source's day. The reference is the amount that the newest one is held
-- against to tell whether the day is steady.
CREATE TABLE day_reading (
    source              INTEGER NOT NULL REFERENCES source (id),
    day                 TEXT NOT NULL,
    currency            TEXT NOT NULL,
    breakdown           INTEGER NOT NULL,
    billed              TEXT,
    effective           TEXT,
    list                TEXT,
    has_control         INTEGER NOT NULL,
    control_billed      TEXT,
    control_effective   TEXT,
    control_list        TEXT,
    reference_billed    TEXT,
    reference_effective TEXT,
    reference_list      TEXT,
    steady_since        TEXT NOT NULL,
    observed_at         TEXT NOT NULL,
    changed_at          TEXT NOT NULL,
    estimated           INTEGER NOT NULL,
    PRIMARY KEY (source, day, currency)
) STRICT, WITHOUT ROWID;

CREATE TABLE restatement (
    id               INTEGER PRIMARY KEY,
    source           INTEGER NOT NULL REFERENCES source (id),
    day              TEXT NOT NULL,
    currency         TEXT NOT NULL,
    before_billed    TEXT,
    before_effective TEXT,
    before_list      TEXT,
    after_billed     TEXT,
    after_effective  TEXT,
    after_list       TEXT,
    observed_at      TEXT NOT NULL
) STRICT;
CREATE INDEX restatement_of_source ON restatement (source, observed_at);

CREATE TABLE entity_name (
    source    INTEGER NOT NULL REFERENCES source (id),
    dimension TEXT NOT NULL,
    key       TEXT NOT NULL,
    name      TEXT NOT NULL,
    PRIMARY KEY (source, dimension, key)
) STRICT, WITHOUT ROWID;

-- Budgets that are kept at the provider, each as JSON.
CREATE TABLE native_budget (
    source INTEGER NOT NULL REFERENCES source (id),
    place  INTEGER NOT NULL,
    budget TEXT NOT NULL,
    PRIMARY KEY (source, place)
) STRICT, WITHOUT ROWID;

-- Requests and the money reserved for them, by calendar month in UTC. Never removed: they are
-- counters.
CREATE TABLE reserved (
    source    INTEGER NOT NULL REFERENCES source (id),
    month     TEXT NOT NULL,
    operation TEXT NOT NULL,
    currency  TEXT NOT NULL,
    requests  INTEGER NOT NULL,
    amount    TEXT NOT NULL,
    PRIMARY KEY (source, month, operation, currency)
) STRICT, WITHOUT ROWID;

CREATE TABLE band_state (
    band   TEXT NOT NULL,
    period TEXT NOT NULL,
    view   TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT NOT NULL,
    since  TEXT NOT NULL,
    PRIMARY KEY (band, period, view)
) STRICT, WITHOUT ROWID;

-- Messages. Those that were sent or dropped stay for a while, so that their key stays taken.
CREATE TABLE outbox (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    dedupe_key   TEXT NOT NULL UNIQUE,
    receiver     TEXT NOT NULL,
    payload      TEXT NOT NULL,
    queued_at    TEXT NOT NULL,
    attempts     INTEGER NOT NULL DEFAULT 0,
    next_attempt TEXT NOT NULL,
    last_error   TEXT,
    sent_at      TEXT,
    dropped_at   TEXT
) STRICT;
CREATE INDEX outbox_waiting ON outbox (next_attempt) WHERE sent_at IS NULL AND dropped_at IS NULL;
