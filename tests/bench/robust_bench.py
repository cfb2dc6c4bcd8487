#!/usr/bin/env python3
"""The rules of robust_bench.cc as numpy programs have them, beside robust_bench itself, in one run.

robust_bench.py BENCH [REPEATS]: BENCH is the built robust_bench. The two take turns; the least times count, of one
thread in processor time, so that what else the machine does counts little, of two threads by the clock.
"""
import json
import subprocess
import sys
import time

import numpy as np

COLUMNS, ROWS, TRIM = 1 << 20, 25, 5


def trimmed_mean(x):
    part = np.partition(x, (TRIM, ROWS - TRIM - 1), axis=0)
    return part[TRIM : ROWS - TRIM].mean(axis=0)


def pair_distances(x):
    distances = np.zeros((ROWS, ROWS))
    for i in range(ROWS):
        for j in range(ROWS):
            distances[i, j] = np.linalg.norm(x[i] - x[j]) ** 2
    return distances


RULES = {
    "median": (lambda x: np.median(x, axis=0), "BM_Column/statistic:0/threads:%d/real_time"),
    "trimmed mean": (trimmed_mean, "BM_Column/statistic:1/threads:%d/real_time"),
    "pair distances": (pair_distances, "BM_PairDistances/threads:%d/real_time"),
}


def seconds_of(function, x):
    wall, cpu = time.perf_counter(), time.process_time()
    function(x)
    return time.perf_counter() - wall, time.process_time() - cpu


def bench_times(program):
    """Milliseconds by the clock and of the calling thread, by benchmark."""
    out = subprocess.run(
        [program, "--benchmark_format=json", "--benchmark_min_time=0.05"], check=True, capture_output=True
    ).stdout
    return {b["name"]: (b["real_time"], b["cpu_time"]) for b in json.loads(out)["benchmarks"]}


def main():
    program, repeats = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
    x = np.random.default_rng(1).random((ROWS, COLUMNS), dtype=np.float32) - 0.5
    numpy_wall, numpy_cpu, ours_cpu, ours_wall = ({name: float("inf") for name in RULES} for _ in range(4))
    for _ in range(repeats):
        times = bench_times(program)
        for name, (function, bench) in RULES.items():
            wall, cpu = seconds_of(function, x)
            numpy_wall[name] = min(numpy_wall[name], 1e3 * wall)
            numpy_cpu[name] = min(numpy_cpu[name], 1e3 * cpu)
            ours_cpu[name] = min(ours_cpu[name], times[bench % 1][1])
            ours_wall[name] = min(ours_wall[name], times[bench % 2][0])
    for name in RULES:
        print(
            "%-14s numpy %6.1f ms, by the clock %6.1f; one thread %5.2f ms, %4.1fx; two by the clock %5.2f ms, %4.1fx"
            % (
                name,
                numpy_cpu[name],
                numpy_wall[name],
                ours_cpu[name],
                numpy_cpu[name] / ours_cpu[name],
                ours_wall[name],
                numpy_wall[name] / ours_wall[name],
            )
        )


if __name__ == "__main__":
    main()
