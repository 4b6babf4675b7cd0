#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# check.py - one Promela model: it holds in every reachable state, and each of its mutants does not.
# Called by: meson test (suite model) and ./dev prove, as: check.py SPIN CC MODEL.pml small|large
# May touch: a temporary folder. Never: the sources.
"""The head of a model says what to run, one line each:
   small: OPTIONS     what the tests check, in seconds; several lines are several runs
   large: OPTIONS     what ./dev prove checks
   mutant N OUTCOME OPTIONS: what was broken     OUTCOME is `assertion` or `end-state`
A mutant is the model with one line of the algorithm broken. It is checked with the small bounds, and
must fail in the way that its line says: a model in which nothing can go wrong proves nothing."""
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

OUTCOMES = {"assertion": "assertion violated", "end-state": "invalid end state"}
# The search's stack (one that needs more is an error), its memory, and how the verifier is compiled: for
# small bounds the compiler costs more than the search.
DEPTH = {"small": 50_000, "large": 1_000_000}
MEGABYTES = {"small": 1500, "large": 3000}
OPTIMIZE = {"small": "-O0", "large": "-O2"}


def explore(model, options, size, folder):
    """Compile and run the verifier; its report, or the complaint of a tool."""
    for command in ([SPIN, *options, "-a", model], [CC, OPTIMIZE[size], "-w", "-DSAFETY", "-DCOLLAPSE",
                    "-DVECTORSZ=2048", f"-DMEMLIM={MEGABYTES[size]}", "-o", "pan", "pan.c"]):
        run = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if run.returncode != 0 or b"syntax error" in run.stdout:
            return " ".join(command) + "\n" + run.stdout.decode()
    run = subprocess.run(["./pan", f"-m{DEPTH[size]}", "-n"], cwd=folder, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT)
    return run.stdout.decode(errors="replace")


def verdict(report, outcome):
    """None if the report says what it should, else what is wrong."""
    errors = re.search(r"errors: (\d+)", report)
    if errors is None:
        return "the verifier did not finish"
    if outcome is None:
        for limit in ("max search depth too small", "memory limit", "Search not completed"):
            if limit in report:
                return f"not exhaustive: {limit}"
        return None if errors[1] == "0" else "the model does not hold"
    if errors[1] == "0":
        return "the mutant was not noticed"
    return None if OUTCOMES[outcome] in report else f"the mutant failed, but not by {outcome}"


def figures(report):
    states = re.search(r"([\d.e+]+) states, stored", report)
    depth = re.search(r"depth reached (\d+)", report)
    return f"{int(float(states[1]))} states, depth {depth[1]}" if states and depth else "no figures"


SPIN, CC, MODEL, SIZE = sys.argv[1:5]
if shutil.which(SPIN) is None:
    print("1..0 # SKIP spin is not installed")
    sys.exit(0)
with open(MODEL, encoding="utf-8") as file:
    head = file.read().split("*/")[0]
runs = [(f"holds with {options or 'its defaults'}", options, None)
        for options in (line.strip() for line in re.findall(rf"^ \* {SIZE}:(.*)$", head, flags=re.M))]
for number, outcome, options, what in re.findall(r"^ \* mutant (\d+) (\S+)(.*?): (.*)$", head, flags=re.M):
    runs.append((f"mutant {number} is noticed, {what}", f"-DMUTANT={number} {options}", outcome))
name, bad = re.sub(r".*/", "", MODEL), 0
print(f"1..{len(runs)}")
for number, (claim, options, outcome) in enumerate(runs, 1):
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        said = explore(MODEL, shlex.split(options), SIZE if outcome is None else "small", folder)
    wrong = verdict(said, outcome)
    took = time.monotonic() - begin
    print(f"{'not ok' if wrong else 'ok'} {number} - {name}: {claim} - {figures(said)}, {took:.1f} s", flush=True)
    if wrong:
        bad += 1
        print("\n".join("# " + line for line in (wrong + "\n" + said).splitlines()[:60]), flush=True)
sys.exit(1 if bad or not runs else 0)
