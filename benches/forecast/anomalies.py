"""Worlds with injected spikes and shifts, and how well they are found.

    anomalies.py write WORLDS.csv [SEED]
    anomalies.py score FOUND.csv [SEED]
    anomalies.py bound

The thresholds were chosen on the seeds 0, 10, 20 and 30. The sizes are in sigmas of the series' own daily noise. Nothing here knows how anything is found.
"""

import collections
import csv
import datetime
import sys

import numpy

FIRST = datetime.date(2025, 1, 1)
DAYS = 330
WARM = 150
SIZES = (2, 3, 4, 5, 6, 7, 8, 10, 14)
SHIFTS = (1, 1.5, 2, 3, 5, 8)
MEMORY = (0.0, 0.3, 0.5)
EACH = 60


def base(rng, memory):
    """A fleet with weekends and growth, and noise of one sigma, as `(values, level, sigma)`."""
    time = numpy.arange(DAYS)
    weekday = numpy.array([(FIRST + datetime.timedelta(int(t))).weekday() for t in time])
    level = rng.uniform(500, 20000) * (1 + rng.uniform(-0.01, 0.03)) ** (time / 30.4)
    dip = rng.uniform(0, 0.5)
    level *= numpy.where(weekday >= 5, 1 - dip, 1.0)
    sigma = rng.uniform(0.02, 0.06)
    noise = numpy.zeros(DAYS)
    fresh = rng.normal(0, sigma * numpy.sqrt(1 - memory**2), DAYS)
    for t in time[1:]:
        noise[t] = memory * noise[t - 1] + fresh[t]
    return level * (1 + noise), level, sigma


def worlds(seed):
    """`(name, values, truth)`; truth is a list of `(kind, index, size)`."""
    for memory in MEMORY:
        alike = int(memory * 10)
        for number in range(200):
            rng = numpy.random.default_rng([10 * seed + 1, alike, number])
            yield f"quiet/{memory}/0/{number}", base(rng, memory)[0], None
        for size in SIZES:
            for number in range(EACH):
                rng = numpy.random.default_rng([10 * seed + 2, alike, size, number])
                values, level, sigma = base(rng, memory)
                at = WARM + rng.integers(0, DAYS - WARM - 20)
                sign = 1 if number % 3 else -1
                # A spike of so many sigmas stands that far above what the day is expected to be.
                values[at] = level[at] * (1 + sign * size * sigma)
                yield f"spike/{memory}/{size}/{number}", values, at
        for size in SHIFTS:
            for number in range(EACH):
                rng = numpy.random.default_rng([10 * seed + 3, alike, int(size * 10), number])
                values, level, sigma = base(rng, memory)
                at = WARM + rng.integers(0, DAYS - WARM - 40)
                sign = 1 if number % 2 else -1
                values[at:] += level[at:] * sign * size * sigma
                yield f"shift/{memory}/{size}/{number}", values, at


def write(path, seed):
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        for name, values, _ in worlds(seed):
            writer.writerow([name, FIRST] + [f"{value:.4f}" for value in values])


def score(path, seed):
    found = collections.defaultdict(list)
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            found[row["world"]].append((row["kind"], int(row["first"]), int(row["found"])))
    cells = collections.defaultdict(lambda: collections.Counter())
    for name, _, at in worlds(seed):
        kind, memory, size, _ = name.split("/")
        cell = cells[kind, float(memory), float(size)]
        cell["worlds"] += 1
        told = [event for event in found[name] if event[2] >= WARM]
        if kind == "quiet":
            cell["false"] += len(told)
            continue
        if kind == "spike":
            hits = [event for event in told if event[1] <= at <= event[1] + 1 and event[2] == at]
            after = []
        else:
            # Known on the complete day `at + 6` at the latest: seven days of the new level.
            near = [event for event in told if at - 3 <= event[1] and at <= event[2] <= at + 30]
            hits = [event for event in near if event[2] <= at + 6]
            shifts = [event for event in near if event[0] == "level_shift"]
            after = near[1:]
            cell["said"] += len(near)
            cell["known"] += bool(near)
            cell["as shift"] += bool(shifts)
        cell["found"] += bool(hits)
        cell["true"] += len(hits)
        cell["other"] += len([event for event in told if event not in hits and event not in after])
    months = (DAYS - WARM) / 30.4
    print("false alarms in 200 quiet series-months, by how alike neighbouring days are")
    for (kind, memory, _), cell in cells.items():
        if kind == "quiet":
            rate = cell["false"] / (cell["worlds"] * months) * 200
            print(f"  r {memory}: {rate:.2f}  ({cell['false']} in {cell['worlds'] * months:.0f} series-months)")
    print("spikes: recall and precision by size in sigmas")
    for (kind, memory, size), cell in cells.items():
        if kind == "spike":
            precision = cell["true"] / max(1, cell["true"] + cell["other"])
            print(f"  r {memory} size {size:>4}: recall {cell['found'] / cell['worlds']:.2f} precision {precision:.2f}")
    print("shifts: found within 7 complete days, and alerts for one shift, by size in sigmas")
    for (kind, memory, size), cell in cells.items():
        if kind == "shift":
            once = cell["said"] / max(1, cell["known"])
            line = f"recall {cell['found'] / cell['worlds']:.2f} in 30 days {cell['known'] / cell['worlds']:.2f}"
            print(f"  r {memory} size {size:>4}: {line} alerts {once:.2f} as shift {cell['as shift'] / cell['worlds']:.2f}")


def oracle(rng, memory, series, days, change=None, size=2.0):
    """The likelihood ratio of a shift by `size` sigmas, up or down, after each day, as Page's CUSUM
    holds it (Page 1954), for one who knows level, noise, memory and size: no rule tells more of the
    same days. Noise has a sigma of 1; `change` is the index of the first day of a true shift."""
    fresh = numpy.sqrt(1 - memory**2)
    noise = rng.normal(0, fresh, (series, days))
    noise[:, 0] = rng.normal(0, 1, series)
    for t in range(1, days):
        noise[:, t] += memory * noise[:, t - 1]
    if change is not None:
        noise[:, change:] += size
    news = (noise[:, 1:] - memory * noise[:, :-1]) / fresh
    first, later = size / fresh, size * (1 - memory) / fresh
    best = numpy.zeros((series, days))
    for sign in (1, -1):
        held = numpy.full(series, -numpy.inf)
        for t in range(1, days):
            today = sign * news[:, t - 1]
            begins = first * today - first**2 / 2
            held = numpy.maximum(held + later * today - later**2 / 2, begins)
            best[:, t] = numpy.maximum(best[:, t], held)
    return best


def alarms(scores, threshold, apart=14):
    """How often the threshold is passed, passes within two weeks taken together."""
    count = 0
    for row in scores > threshold:
        last = -apart - 1
        for at in numpy.flatnonzero(row):
            count += at - last > apart
            last = at
    return count


def bound(allowed=2.0, size=2.0):
    """What share of shifts that oracle finds within 7 days where it may give as many false alarms."""
    print(f"shifts of {size} sigmas that one who knows everything but the day finds within 7 days,")
    print(f"at {allowed} false alarms in 200 quiet series-months, by how alike neighbouring days are")
    for memory in MEMORY:
        rng = numpy.random.default_rng([99, int(memory * 10)])
        quiet = oracle(rng, memory, 4000, 400)[:, 30:]
        low, high = 2.0, 20.0
        for _ in range(20):
            middle = (low + high) / 2
            rate = alarms(quiet, middle) / quiet.size * 200 * 30.4
            low, high = (middle, high) if rate > allowed else (low, middle)
        shifted = oracle(rng, memory, 20000, 160, change=150, size=size) > high
        found = shifted[:, 150:157].any(1) & ~shifted[:, 141:150].any(1)
        print(f"  r {memory}: {found.mean():.2f}")


if __name__ == "__main__":
    command, *rest = sys.argv[1:]
    if command == "bound":
        bound()
    else:
        path, seed = rest[0], int(rest[1]) if len(rest) > 1 else 0
        write(path, seed) if command == "write" else score(path, seed)
