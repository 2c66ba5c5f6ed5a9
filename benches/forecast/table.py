"""Writes what the methods are scored on, and scores them.

    table.py write WHEEL_FOLDER SERIES.csv     every origin with the days known on it
    table.py score WHEEL_FOLDER FORECASTS.csv...
"""

import collections
import csv
import sys

import numpy
import worlds

DAYS = (3, 7, 15, 22)
LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
BANDS = {80: ("q10", "q90"), 95: ("q025", "q975")}


def every_series(folder):
    return worlds.simulated() + worlds.shipped(worlds.wheel_in(folder))


def write(folder, path):
    """One line an origin: set, series, first day, start and length of the month, day of the month,
    index of the newest complete day, then the amounts known, a gap as an empty field."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        for series in every_series(folder):
            for start, length, day, newest in worlds.origins(series):
                from_day = max(0, newest + 1 - 400)
                values = worlds.known(series, newest)[from_day:]
                head = [series.group, series.name, series.date(from_day), series.date(start)]
                text = ["" if numpy.isnan(v) else repr(float(v)) for v in values]
                writer.writerow(head + [length, day, newest - from_day] + text)


def baselines(series, values, start, length, newest):
    """The month-to-date run-rate, and the seasonal naive with a split-conformal interval: absolute
    relative errors of sums over as many days, on the 120 origins before."""
    booked = numpy.nansum(values[start : newest + 1])
    days = newest + 1 - start
    horizon = length - days
    yield "run-rate", booked / days * length, None

    clean = numpy.where(numpy.isnan(values), numpy.nanmedian(values), values)
    sums = numpy.concatenate([[0.0], clean.cumsum()])

    def naive(at):
        week = clean[at - 6 : at + 1]
        return sum(week[step % 7] for step in range(horizon))

    mean = naive(newest)
    errors = []
    for at in range(max(6, newest - horizon - 120), newest - horizon + 1):
        guess = naive(at)
        errors.append(abs(sums[at + 1 + horizon] - sums[at + 1] - guess) / max(abs(guess), 1e-9))
    errors = numpy.sort(errors)

    def bound(level):
        rank = min(len(errors), int(numpy.ceil((len(errors) + 1) * level)))
        return errors[rank - 1] * abs(mean)

    def quantile(level):
        half = 0.0 if level == 0.5 else bound(abs(2 * level - 1))
        return booked + mean + numpy.sign(level - 0.5) * half

    levels = (0.025, *LEVELS, 0.975)
    quantiles = {f"q{int(level * 1000):03}": quantile(level) for level in levels}
    yield "seasonal naive", booked + mean, quantiles


def pinball(actual, quantiles):
    losses = []
    for level in LEVELS:
        miss = actual - quantiles[f"q{int(level * 1000):03}"]
        losses.append(max(level * miss, (level - 1) * miss))
    return numpy.mean(losses)


def rows(folder, files):
    """`(set, series, start, day, method) -> (total, quantiles, actual, scale)`."""
    told = collections.defaultdict(dict)
    for path in files:
        with open(path, newline="") as file:
            for row in csv.DictReader(file):
                key = (row["set"], row["series"], row["start"], int(row["day"]))
                quantiles = {k: float(v) for k, v in row.items() if k.startswith("q") and v}
                told[key][row["method"]] = (float(row["total"]), quantiles or None)
    for series in every_series(folder):
        for start, length, day, newest in worlds.origins(series):
            actual = numpy.nansum(series.values[start : start + length])
            key = (series.group, series.name, str(series.date(start)), day)
            values = worlds.known(series, newest)
            for method, total, quantiles in baselines(series, values, start, length, newest):
                told[key][method] = (total, quantiles)
            for method, (total, quantiles) in told[key].items():
                yield (*key, method), total, quantiles, actual


def score(folder, files):
    errors = collections.defaultdict(list)
    losses = collections.defaultdict(list)
    inside = collections.defaultdict(list)
    actuals = collections.defaultdict(list)
    for (group, name, start, day, method), total, quantiles, actual in rows(folder, files):
        errors[group, day, method].append((name, abs(total - actual), abs(actual)))
        if quantiles is None:
            continue
        losses[group, day, method].append((name, pinball(actual, quantiles), abs(actual)))
        for level, (low, high) in BANDS.items():
            low, high = quantiles[low.ljust(4, "0")], quantiles[high.ljust(4, "0")]
            inside[method, level].append((group, name, start[:7], low <= actual <= high))
            inside[method, level, group].append((group, name, start[:7], low <= actual <= high))
    groups = sorted({group for group, _, _ in errors})
    methods = sorted({method for _, _, method in errors})
    print("WAPE of the month total in %, mean over series, by set and day of the forecast")
    print(f"{'method':<16}" + "".join(f"{g + ' ' + str(d):>14}" for g in groups for d in DAYS))
    for method in methods:
        cells = [mean_ratio(errors[g, d, method]) for g in groups for d in DAYS]
        print(f"{method:<16}" + "".join(f"{100 * cell:>14.2f}" for cell in cells))
    print("\nmean pinball loss in % of the month total")
    for method in methods:
        cells = [mean_ratio(losses[g, d, method]) for g in groups for d in DAYS]
        if not numpy.isnan(cells[0]):
            overall = numpy.nanmean(cells)
            text = "".join(f"{100 * cell:>14.3f}" for cell in cells)
            print(f"{method:<16}{text}  mean {100 * overall:.3f}")
    print("\ncoverage with the 95 % interval of a bootstrap over series and quarters")
    for key in inside:
        print(f"{' '.join(map(str, key)):<32}", coverage(inside[key]))


def mean_ratio(found):
    by_name = collections.defaultdict(lambda: [0.0, 0.0])
    for name, part, whole in found:
        by_name[name][0] += part
        by_name[name][1] += whole
    ratios = [part / whole for part, whole in by_name.values() if whole > 0]
    return numpy.mean(ratios) if ratios else float("nan")


def coverage(found):
    blocks = collections.defaultdict(list)
    for group, name, month, hit in found:
        year, number = month.split("-")
        blocks[group, name, year, (int(number) - 1) // 3].append(hit)
    hits = numpy.array([sum(b) for b in blocks.values()])
    sizes = numpy.array([len(b) for b in blocks.values()])
    rng = numpy.random.default_rng(7)
    picks = rng.integers(0, len(hits), (2000, len(hits)))
    shares = hits[picks].sum(1) / sizes[picks].sum(1)
    low, high = numpy.percentile(shares, [2.5, 97.5])
    return f"{100 * hits.sum() / sizes.sum():5.1f} [{100 * low:.1f}, {100 * high:.1f}] n={sizes.sum()}"


if __name__ == "__main__":
    command, folder, *rest = sys.argv[1:]
    write(folder, rest[0]) if command == "write" else score(folder, rest)
