#!/usr/bin/env python3
"""What robust_bench.cc does, the way numpy programs do it: one JSON object of milliseconds."""
import json
import sys
import time

import numpy as np


def least(function, repeats):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def trimmed_mean(x, trim):
    part = np.partition(x, (trim, x.shape[0] - trim - 1), axis=0)
    return part[trim : x.shape[0] - trim].mean(axis=0)


def pair_distances(x):
    n = x.shape[0]
    distances = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            distances[i, j] = np.linalg.norm(x[i] - x[j]) ** 2
    return distances


def main():
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    x = np.random.default_rng(1).random((25, 1 << 20), dtype=np.float32) - 0.5
    print(
        json.dumps(
            {
                "median_ms": least(lambda: np.median(x, axis=0), repeats),
                "trimmed_mean_ms": least(lambda: trimmed_mean(x, 5), repeats),
                "pair_distances_ms": least(lambda: pair_distances(x), repeats),
            }
        )
    )


if __name__ == "__main__":
    main()
