"""Run the measurements: all but the long ones, or those named. Results go to benchmarks/results/ as CSV and Markdown."""

import sys

from benchmarks import (
    contention,
    grouping,
    load,
    matching,
    search,
    simulation,
    soak,
    sweep,
    taking,
    working_time,
)

MEASUREMENTS = {
    "working_time": working_time.run,
    "sweep": sweep.run,
    "matching": matching.run,
    "simulation": simulation.run,
    "search": search.run,
    "grouping": grouping.run,
    "load": load.run,
    "contention": contention.run,
    "soak": soak.run,
    "taking": taking.run,
}
LONG = {"soak"}
"""Half an hour: by name only."""


def main() -> None:
    wanted = sys.argv[1:] or [name for name in MEASUREMENTS if name not in LONG]
    if unknown := [name for name in wanted if name not in MEASUREMENTS]:
        sys.exit(f"no measurement {', '.join(unknown)}; there are: {', '.join(MEASUREMENTS)}")
    failed = [name for name in wanted if not MEASUREMENTS[name]()]
    if failed:
        sys.exit(f"short of what is promised: {', '.join(failed)}")


main()
