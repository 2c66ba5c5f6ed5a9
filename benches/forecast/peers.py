"""Month-end forecasts of statsforecast's AutoETS, AutoTheta and MSTL on every origin, as CSV.

    peers.py WHEEL_FOLDER OUT.csv [SET]
    peers.py speed SERIES.csv
"""

import csv
import sys
import time
import warnings

import numpy
import worlds
from statsforecast.models import MSTL, AutoETS, AutoTheta

PEERS = {
    "AutoETS": lambda: AutoETS(season_length=7, damped=True),
    "AutoTheta": lambda: AutoTheta(season_length=7),
    "MSTL": lambda: MSTL(season_length=7),
}


def fill(values):
    """Gaps closed with the value before: the peers take none."""
    for t in numpy.flatnonzero(numpy.isnan(values)):
        values[t] = values[t - 1] if t else 0.0
    return values


def speed(path):
    """The time of one core on the first series of the speed bench, 30 days ahead."""
    series = numpy.loadtxt(path, delimiter=",")[:200]
    for name, model in PEERS.items():
        began = time.process_time()
        for values in series:
            model().forecast(y=values, h=30)
        each = (time.process_time() - began) / len(series)
        print(f"statsforecast {name}: {1e6 * each:.0f} us a series, {1e4 * each:.0f} s for 10,000")


def main():
    if sys.argv[1] == "speed":
        warnings.filterwarnings("ignore")
        return speed(sys.argv[2])
    warnings.filterwarnings("ignore")
    folder, out = sys.argv[1], sys.argv[2]
    every = worlds.simulated() + worlds.shipped(worlds.wheel_in(folder))
    if len(sys.argv) > 3:
        every = [series for series in every if series.group == sys.argv[3]]
    spent = dict.fromkeys(PEERS, 0.0)
    with open(out, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["set", "series", "start", "day", "method", "total"])
        for series in every:
            for start, length, day, newest in worlds.origins(series):
                values = fill(worlds.known(series, newest))
                booked = values[start : newest + 1].sum()
                horizon = start + length - 1 - newest
                # The last 400 days, as the agent has them.
                recent = values[-400:]
                for name, model in PEERS.items():
                    began = time.process_time()
                    mean = model().forecast(y=recent, h=horizon)["mean"].sum()
                    spent[name] += time.process_time() - began
                    row = [series.group, series.name, series.date(start), day, name]
                    writer.writerow(row + [f"{booked + mean:.6f}"])
            seconds = {name: round(held, 1) for name, held in spent.items()}
            print(series.group, series.name, seconds, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
