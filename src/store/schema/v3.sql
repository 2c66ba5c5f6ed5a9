-- GPU time: whole milliseconds by state, in the order of domain::gpu_time::GpuState::ALL. Time is
-- kept, money is made of it when it is read.

-- GPUs that are counted and priced together, as JSON.
CREATE TABLE gpu_fleet (
    id    INTEGER PRIMARY KEY,
    fleet TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE gpu_fleet_day (
    day         TEXT NOT NULL,
    fleet       INTEGER NOT NULL REFERENCES gpu_fleet (id),
    busy        INTEGER NOT NULL,
    low         INTEGER NOT NULL,
    held_idle   INTEGER NOT NULL,
    empty       INTEGER NOT NULL,
    unallocated INTEGER NOT NULL,
    unhealthy   INTEGER NOT NULL,
    unknown     INTEGER NOT NULL,
    PRIMARY KEY (day, fleet)
) STRICT, WITHOUT ROWID;

-- The same time by node.
CREATE TABLE gpu_node_day (
    day         TEXT NOT NULL,
    fleet       INTEGER NOT NULL REFERENCES gpu_fleet (id),
    node        TEXT NOT NULL,
    busy        INTEGER NOT NULL,
    low         INTEGER NOT NULL,
    held_idle   INTEGER NOT NULL,
    empty       INTEGER NOT NULL,
    unallocated INTEGER NOT NULL,
    unhealthy   INTEGER NOT NULL,
    unknown     INTEGER NOT NULL,
    PRIMARY KEY (day, fleet, node)
) STRICT, WITHOUT ROWID;

-- The same time by workload; what nobody held is missing.
CREATE TABLE gpu_workload_day (
    day         TEXT NOT NULL,
    fleet       INTEGER NOT NULL REFERENCES gpu_fleet (id),
    namespace   TEXT NOT NULL,
    name        TEXT NOT NULL,
    busy        INTEGER NOT NULL,
    low         INTEGER NOT NULL,
    held_idle   INTEGER NOT NULL,
    empty       INTEGER NOT NULL,
    unallocated INTEGER NOT NULL,
    unhealthy   INTEGER NOT NULL,
    unknown     INTEGER NOT NULL,
    PRIMARY KEY (day, fleet, namespace, name)
) STRICT, WITHOUT ROWID;

-- The same time since the ledger began. Never removed: they are counters.
CREATE TABLE gpu_fleet_total (
    fleet       INTEGER PRIMARY KEY REFERENCES gpu_fleet (id),
    busy        INTEGER NOT NULL,
    low         INTEGER NOT NULL,
    held_idle   INTEGER NOT NULL,
    empty       INTEGER NOT NULL,
    unallocated INTEGER NOT NULL,
    unhealthy   INTEGER NOT NULL,
    unknown     INTEGER NOT NULL
) STRICT;

-- Up to when each device's time is counted, as JSON.
CREATE TABLE gpu_mark (
    uuid TEXT PRIMARY KEY,
    mark TEXT NOT NULL
) STRICT, WITHOUT ROWID;
