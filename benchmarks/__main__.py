"""Run every benchmark, each in its own process."""

import subprocess
import sys

for name in (
    "bench_expressions",
    "bench_matches",
    "bench_expressions_matching",
    "bench_portable",
    "bench_history",
    "bench_archive",
    "bench_backups",
    "bench_restore",
    "bench_api",
    "bench_pages",
    "bench_locations",
):
    print(f"\n== {name}", flush=True)
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
