-- What was said of each month of a band, one row for each newest complete day that it was made from:
-- what was said first stays.
CREATE TABLE band_forecast (
    band      TEXT NOT NULL,
    period    TEXT NOT NULL,
    made_from TEXT NOT NULL,
    forecast  TEXT NOT NULL,
    PRIMARY KEY (band, period, made_from)
) STRICT;
