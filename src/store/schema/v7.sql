-- Alerts that are pending, fire or were over last, each as JSON; what became of each; silences. They
-- take the place of a status for each view of a band. An alert whose billing period was final when it
-- was over never begins again.
DROP TABLE band_state;

CREATE TABLE alert (
    identity   TEXT PRIMARY KEY,
    phase      TEXT NOT NULL,
    state      TEXT NOT NULL,
    changed_at TEXT NOT NULL,
    is_final   INTEGER NOT NULL
) STRICT;

CREATE TABLE alert_event (
    id    INTEGER PRIMARY KEY,
    alert TEXT NOT NULL,
    at    TEXT NOT NULL,
    kind  TEXT NOT NULL,
    state TEXT NOT NULL
) STRICT;

CREATE INDEX alert_event_of ON alert_event (alert, id);

CREATE TABLE silence (
    name    TEXT PRIMARY KEY,
    ends_at TEXT NOT NULL,
    silence TEXT NOT NULL
) STRICT;

-- When a message was handed over whose outcome is not known: the receiver may have it.
ALTER TABLE outbox ADD COLUMN handed_at TEXT;

CREATE INDEX outbox_dropped ON outbox (dropped_at) WHERE dropped_at IS NOT NULL;
CREATE INDEX outbox_sent ON outbox (receiver, id) WHERE sent_at IS NOT NULL;
