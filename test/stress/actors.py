#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# actors.py - workloads of actors by weft-stress, judged by exit code and JSON.
# Called by: meson test (suite stress), as: actors.py WEFT_STRESS CASE
# May touch: a temporary folder, processes of its own. Never: waits without a deadline.
"""A case is the name of a workload, which runs for a second, or one of the functions below."""
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

STRESS, CASE = sys.argv[1:3]
DEADLINE = 150
FAULTS = ("lost", "duplicated", "out_of_order", "corrupt")
# What may exceed what: a workload whose figures do not tell of its work proves nothing.
NOTES = {"big": ["MB/s"], "priority": ["user messages", "user p50 ns", "user p99 ns"], "timer": ["periods skipped"],
         "crash": ["failures", "messages handled"]}


def expect(condition, text):
    if not condition:
        raise AssertionError(text)


def run(folder, *options, want=0):
    out = os.path.join(folder, "out.json")
    command = [STRESS, "--seed", "7", "--duration", "1", "--interval", "200", "--json", out, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    print("$", " ".join(command), "->", done.returncode)
    print(done.stdout + done.stderr)
    expect(done.returncode == want, f"exit code {done.returncode} instead of {want}")
    with open(out, encoding="utf-8") as file:
        result = json.load(file)
    expect(result["schema"] == "weft.stress/1" and result["exit_code"] == want, "schema and exit code")
    expect(result["verdict"] == {0: "pass", 5: "fail"}.get(want, "error"), "the verdict follows the exit code")
    for name in ("version", "compiler", "kernel", "machine"):
        expect(result[name], name)
    return result, done


def check_load(load):
    name = load["workload"]
    expect(load["ops"] > 0 and load["ops_per_second"] > 0 and 0.9 < load["seconds"] < 60, f"{name} worked")
    check = load["verification"]
    expect(not any(check[fault] for fault in FAULTS) and load["faults"] == 0, f"{name} has no fault")
    expect(check["sent"] == check["received"] + check["dead_letters"], f"{name}: every message is accounted for")
    expect(name == "timer" or check["sent"] > 0, f"{name} sent something")
    delay = load["latency_us"]
    order = [delay[mark] for mark in ("min", "p50", "p90", "p99", "p99.9", "p99.99", "max")]
    expect(order == sorted(order) and order[-1] > 0, f"{name}: percentiles rise")
    expect(sum(n for _, n in delay["histogram_ns"]) == delay["count"], f"{name}: the histogram is complete")
    expect(1 <= len(load["samples"]) <= 6, f"{name}: a sample for each interval")
    expect(all(sample["rss_kb"] > 0 for sample in load["samples"]), f"{name}: samples say how much memory")
    for note in NOTES.get(name, []):
        expect(note in load["notes"], f"{name} says {note}")


def workload(folder):
    hgrm = os.path.join(folder, "h")
    result, done = run(folder, "--workload", CASE, "--hgrm", hgrm)
    expect([load["workload"] for load in result["workloads"]] == [CASE], "that workload and no other")
    check_load(result["workloads"][0])
    row = [line for line in done.stdout.splitlines() if line.split()[:2] == [CASE, "closed"]]
    expect(len(row) == 1 and "pass" in row[0], "a row of the table")
    expect("PASS" in done.stdout and CASE in done.stderr, "the verdict, and a live line")
    with open(f"{hgrm}-{CASE}.hgrm", encoding="ascii") as file:
        lines = file.read().splitlines()
    expect(lines[0].split() == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"], "an HdrHistogram file")
    expect(lines[-3].split()[1:] == ["1.000000000000", str(result["workloads"][0]["latency_us"]["count"])], "its end")
    if CASE == "bounded":
        expect(result["workloads"][0]["refused"] > 0, "the mailbox was full")


def open_loop(folder):
    """At a rate that it can keep, a workload keeps it, and counts delays from when messages were due."""
    result, _ = run(folder, "--workload", "fanin", "--rate", "2000")
    load = result["workloads"][0]
    check_load(load)
    expect(load["loop"] == "open" and load["ops_per_second"] < 2400, "no faster than asked")
    expect(load["latency_us"]["count"] == load["service_us"]["count"], "both delays of every message")
    expect(load["latency_us"]["mean"] >= load["service_us"]["mean"] * 0.99, "the lag counts")


def overflow_fail(folder):
    result, _ = run(folder, "--workload", "bounded", "--overflow", "fail")
    check_load(result["workloads"][0])
    expect(result["workloads"][0]["refused"] > 0, "refusals are counted and nothing else is missing")


def overflow_drop(folder):
    """What a mailbox drops is a dead letter; nothing else is missing, and nobody is refused."""
    for policy in ("drop-new", "drop-old"):
        result, _ = run(folder, "--workload", "bounded", "--overflow", policy)
        check_load(result["workloads"][0])
        expect(result["workloads"][0]["verification"]["dead_letters"] > 0, f"{policy} drops")


def everywhere(folder, *place):
    result, _ = run(folder, "--workload", "all", "--place", *place)
    expect(len(result["workloads"]) == 11, "all of them")
    for load in result["workloads"]:
        check_load(load)
        expect(load["place"] == place[0], "where it was asked for")


def place_parent(folder):
    everywhere(folder, "parent")


def place_group(folder):
    everywhere(folder, "group", "--workers", "2")


def several(folder):
    result, _ = run(folder, "--workload", "ring,pingpong", "--actors", "4", "--producers", "2", "--payload", "1000")
    expect([load["workload"] for load in result["workloads"]] == ["pingpong", "ring"], "each once, in the table's order")
    for load in result["workloads"]:
        check_load(load)
        expect((load["actors"], load["producers"], load["payload"]) == (4, 2, 1000), "as asked")


def sabotage(folder):
    """Each kind of broken message is seen: a check that cannot fail proves nothing."""
    fields = {"lose": "lost", "dup": "duplicated", "reorder": "out_of_order", "corrupt": "corrupt"}

    def one(case):
        kind, name = case
        result, done = run(tempfile.mkdtemp(dir=folder), "--workload", name, "--sabotage", kind, want=5)
        expect(result["workloads"][0]["verification"][fields[kind]] >= 1, f"{kind} in {name} is seen as {fields[kind]}")
        expect("FAIL" in done.stdout, "and said")

    # Actors of spawn end after one message: what comes later is a dead letter, and each goes to another one.
    cases = [(kind, name) for kind in fields for name in ("fanin", "mesh", "ring", "spawn")
             if name != "spawn" or kind not in ("dup", "reorder")]
    with ThreadPoolExecutor(4) as pool:  # each takes its second, alone or not
        list(pool.map(one, cases))


def vacuous(folder):
    result, _ = run(folder, "--workload", "timer", "--sabotage", "lose", want=1)
    expect("never sent" in result["workloads"][0]["reason"], "a fault that did not take place is no pass")


def listing(folder):
    done = subprocess.run([STRESS, "--list"], capture_output=True, text=True, timeout=DEADLINE, check=False)
    names = [line.split()[0] for line in done.stdout.splitlines() if not line.startswith(" ")]
    expect(done.returncode == 0 and "fanin" in names and len(names) == len(set(names)), "every workload once")
    expect(os.listdir(folder) == [], "and nothing is done")


with tempfile.TemporaryDirectory(prefix="weft-actors.") as place:
    globals().get(CASE, workload)(place)
print("ok", CASE)
