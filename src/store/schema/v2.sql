-- What a provider lists GPU machines and their parts at, each as JSON.
CREATE TABLE list_price (
    source INTEGER NOT NULL REFERENCES source (id),
    place  INTEGER NOT NULL,
    price  TEXT NOT NULL,
    PRIMARY KEY (source, place)
) STRICT, WITHOUT ROWID;

-- Days of a source that were read whole under its primary breakdown and have no cost in any
-- currency: `empty_since` is the first such reading, `observed_at` the newest. A day that has a
-- `day_reading` is not here.
CREATE TABLE empty_day (
    source      INTEGER NOT NULL REFERENCES source (id),
    day         TEXT NOT NULL,
    breakdown   INTEGER NOT NULL,
    empty_since TEXT NOT NULL,
    observed_at TEXT NOT NULL,
    PRIMARY KEY (source, day)
) STRICT, WITHOUT ROWID;
