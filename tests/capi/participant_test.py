#!/usr/bin/env python3
"""participant_test.py BUILD: a coordinator, a daemon and the Python participant train together; numpy's updates count.

Exit code 77 (skipped) when numpy is missing.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.request

try:
    import numpy  # noqa: F401
except ImportError:
    print("skipped: numpy is missing (Debian: python3-numpy)")
    sys.exit(77)

BUILD = sys.argv[1]
HERE = os.path.dirname(os.path.abspath(__file__))
FEDERATION = {
    "name": "python-test",
    "model": {"builtin": "mlp-256-128"},
    "train": {"learningRate": 0.1, "batchSize": 10, "epochs": 1},
    "round": {"cohort": 2, "minimum": 2, "deadlineMs": 30000, "maxRounds": 10},
    "evaluate": {"federated": True},
    "upload": {"codec": "int8"},
}


def main():
    linnet = os.path.join(BUILD, "linnet")
    with tempfile.TemporaryDirectory() as folder:
        federation = os.path.join(folder, "federation.json")
        with open(federation, "w") as file:
            json.dump(FEDERATION, file)
        serve = subprocess.Popen([linnet, "serve", federation, "--listen", "127.0.0.1:0", "--state", folder + "/serve",
                                  "--expect", "2"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        daemon = None
        try:
            port = next(match[1] for match in map(re.compile(r"127\.0\.0\.1:(\d+)").search, serve.stdout) if match)
            daemon = subprocess.Popen([linnet, "join", f"ws://127.0.0.1:{port}", "--data", "strokes?writers=0-9", "--name",
                                       "daemon", "--state", folder + "/daemon"], stdout=subprocess.DEVNULL,
                                      stderr=subprocess.DEVNULL)
            python = subprocess.run([sys.executable, os.path.join(HERE, "participant.py"), f"ws://127.0.0.1:{port}",
                                     "--library", os.path.join(BUILD, "liblinnet.so"), "--state", folder + "/python"],
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
            print(python.stdout)
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/status") as answer:
                status = json.load(answer)
        finally:
            for process in (daemon, serve):
                if process:
                    process.terminate()
                    process.wait(20)
    person = next(person for person in status["participants"] if person["name"] == "python")
    accuracies = [row["accuracy"] for row in status["history"]]
    print("counted:", person["counted"], "runtime:", person["runtime"], "accuracies:", accuracies)
    assert python.returncode == 0, python.returncode
    assert person["counted"] == 10, "every update of the Python participant is counted"
    assert person["runtime"] == "python"
    assert max(accuracies[-3:]) > max(0.7, accuracies[0]), "the model that both trained has learnt"


main()
