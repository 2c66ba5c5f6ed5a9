-- What was said of each month of a band, one row for each newest complete day that it was made from:
-- what was said first stays.
CREATE TABLE band_forecast (
    band      TEXT COLLATE "C" NOT NULL,
    period    TEXT COLLATE "C" NOT NULL,
    made_from TEXT COLLATE "C" NOT NULL,
    forecast  TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (band, period, made_from)
);
