"""How many workers a benchmark needs: a simulation of its queue from measured times.

    python benchmarks/server/capacity.py

Teams submit in waves: evenly over the year, with the daily rhythm of one region, and ten times as much in the last two
days before a deadline. Workers take submissions in the order in which they came. Prints, for 10, 100 and 1,000 teams,
uploads a day, disk, the share of time that workers work, and the time from the last byte to the score.
"""

import argparse
import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DAY_S = 86_400.0
# The two days before a deadline bring so many times the uploads of other days.
RUSH = 10.0
DAYS, RUSH_DAYS = 30, 2


@dataclass(frozen=True)
class Costs:
    """What one submission takes of a worker with one core.

    score_s : two volumes of AxonEM's size: check and read (13.1 s of CPU each, benchmarks/README.md, "Sampling a whole
        AxonEM volume", on cores half as fast), score and store.
    diagnose_s : skeletons of both volumes of AxonEM's size: 3,705 s of CPU each (benchmarks/README.md,
        "Skeletonizing"). Extrapolated, not measured.
    gigabytes : labels of both volumes, compressed.
    """

    score_s: float = 60.0
    diagnose_s: float = 7_400.0
    gigabytes: float = 2.0


@dataclass(frozen=True)
class Outcome:
    """per_day : uploads on a day without a deadline.   busy : share of the rush in which workers work.
    p50_s, p95_s : from the last byte to the result, of those that come in the rush."""

    per_day: float
    workers: int
    busy: float
    p50_s: float
    p95_s: float


def arrivals(teams: int, per_team_and_week: float, generator: np.random.Generator) -> NDArray[np.float64]:
    """Times of submissions in seconds, over DAYS days of which the last RUSH_DAYS are before a deadline."""
    mean = teams * per_team_and_week / 7
    found = []
    for day in range(DAYS):
        rate = mean * (RUSH if day >= DAYS - RUSH_DAYS else 1.0)
        # Most come in the afternoon.
        hours = np.clip(generator.normal(15.0, 4.0, generator.poisson(rate)), 0.0, 23.99)
        found.append(day * DAY_S + hours * 3600)
    return np.sort(np.concatenate(found))


def waits(times: NDArray[np.float64], service_s: NDArray[np.float64], workers: int) -> NDArray[np.float64]:
    """Seconds from arrival to end, of jobs that so many workers take in order."""
    free = [0.0] * workers
    ends = np.empty_like(times)
    for i, (at, takes) in enumerate(zip(times, service_s, strict=True)):
        begin = max(at, heapq.heappop(free))
        ends[i] = begin + takes
        heapq.heappush(free, ends[i])
    return ends - times


def simulate(teams: int, workers: int, mean_s: float, *, per_team_and_week: float = 2.0, seed: int = 0) -> Outcome:
    """The queue of one kind of job. Times vary as the sizes of files do: log-normal, a third of the mean."""
    generator = np.random.default_rng(seed)
    times = arrivals(teams, per_team_and_week, generator)
    sigma = np.sqrt(np.log(1 + (1 / 3) ** 2))
    service = mean_s * generator.lognormal(-(sigma**2) / 2, sigma, len(times))
    took = waits(times, service, workers)
    rush = times >= (DAYS - RUSH_DAYS) * DAY_S
    busy = float(service[rush].sum() / (workers * RUSH_DAYS * DAY_S))
    p50, p95 = np.quantile(took[rush], (0.5, 0.95)) if rush.any() else (0.0, 0.0)
    return Outcome(teams * per_team_and_week / 7, workers, busy, float(p50), float(p95))


def fewest_workers(teams: int, mean_s: float, within_s: float) -> Outcome:
    """The fewest workers by which 95% of the rush have their result within the time."""
    workers = 1
    while (found := simulate(teams, workers, mean_s)).p95_s > within_s:
        workers = workers + 1 if workers < 20 else int(workers * 1.2)
    return found


def in_words(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--score-s", type=float, default=Costs.score_s, help="time to score a submission (%(default)s)")
    parser.add_argument("--diagnose-s", type=float, default=Costs.diagnose_s, help="time to diagnose it (%(default)s)")
    parser.add_argument("--gigabytes", type=float, default=Costs.gigabytes, help="size of its files (%(default)s)")
    options = parser.parse_args()
    print("| teams | uploads a day, before a deadline | disk a year | workers | they work | score at 50%, 95% |"
          " diagnosis: workers | at 95% |")  # fmt: skip
    print("|---:|---|---:|---:|---:|---|---:|---:|")
    for teams in (10, 100, 1000):
        for score in (simulate(teams, 2, options.score_s), fewest_workers(teams, options.score_s, 600)):
            diagnosis = fewest_workers(teams, options.diagnose_s, DAY_S)
            uploads = f"{score.per_day:.0f}, {score.per_day * RUSH:.0f}"
            terabytes = score.per_day * 365 * options.gigabytes / 1000
            print(
                f"| {teams:,} | {uploads} | {terabytes:.1f} TB | {score.workers} |"
                f" {score.busy:.0%} | {in_words(score.p50_s)}, {in_words(score.p95_s)} |"
                f" {diagnosis.workers} | {in_words(diagnosis.p95_s)} |"
            )


if __name__ == "__main__":
    main()
