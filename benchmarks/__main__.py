"""Run the measurements: all of them, or those named. Results go to benchmarks/results/ as CSV and Markdown."""

import sys

from benchmarks import matching, search, simulation, sweep, taking, working_time

MEASUREMENTS = {
    "working_time": working_time.run,
    "sweep": sweep.run,
    "matching": matching.run,
    "simulation": simulation.run,
    "search": search.run,
    "taking": taking.run,
}


def main() -> None:
    wanted = sys.argv[1:] or list(MEASUREMENTS)
    if unknown := [name for name in wanted if name not in MEASUREMENTS]:
        sys.exit(f"no measurement {', '.join(unknown)}; there are: {', '.join(MEASUREMENTS)}")
    failed = [name for name in wanted if not MEASUREMENTS[name]()]
    if failed:
        sys.exit(f"short of what is promised: {', '.join(failed)}")


main()
