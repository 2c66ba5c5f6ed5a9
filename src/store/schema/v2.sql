-- What a provider lists GPU machines and their parts at, each as JSON.
CREATE TABLE list_price (
    source INTEGER NOT NULL REFERENCES source (id),
    place  INTEGER NOT NULL,
    price  TEXT NOT NULL,
    PRIMARY KEY (source, place)
) STRICT, WITHOUT ROWID;
