-- Time of workloads by pod. What was kept before does not tell pods apart.
CREATE TABLE gpu_pod_day (
    day         TEXT NOT NULL,
    fleet       INTEGER NOT NULL REFERENCES gpu_fleet (id),
    namespace   TEXT NOT NULL,
    name        TEXT NOT NULL,
    pod         TEXT NOT NULL,
    busy        INTEGER NOT NULL,
    low         INTEGER NOT NULL,
    held_idle   INTEGER NOT NULL,
    empty       INTEGER NOT NULL,
    unallocated INTEGER NOT NULL,
    unhealthy   INTEGER NOT NULL,
    unknown     INTEGER NOT NULL,
    PRIMARY KEY (day, fleet, namespace, name, pod)
) STRICT, WITHOUT ROWID;

INSERT INTO gpu_pod_day
SELECT day, fleet, namespace, name, '__other__',
       busy, low, held_idle, empty, unallocated, unhealthy, unknown
FROM gpu_workload_day;

DROP TABLE gpu_workload_day;
