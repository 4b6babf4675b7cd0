#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# stores.py - workloads of stores by weft-stress, judged by exit code and JSON.
# Called by: meson test (suite stress), as: stores.py WEFT_STRESS CASE
# May touch: a temporary folder, processes of its own. Never: waits without a deadline.
"""Each case is one function; its claim is its name. What passes leaves no directory behind, what fails leaves one."""
import json
import os
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

STRESS, CASE = sys.argv[1:3]
DEADLINE = 150
OPERATIONS = {"a": ("reads", "updates"), "e": ("scans", "inserts")}


def expect(condition, text):
    if not condition:
        raise AssertionError(text)


def command_of(folder, *options):
    work = os.path.join(folder, "work")
    os.makedirs(work, exist_ok=True)
    return work, [STRESS, "--seed", "7", "--duration", "1", "--interval", "200", "--dir", work, "--json",
                  os.path.join(folder, "out.json"), *options]


def run(folder, *options, want=0):
    work, command = command_of(folder, *options)
    before = len(os.listdir(work))
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    print("$", " ".join(command), "->", done.returncode)
    print(done.stdout + done.stderr)
    expect(done.returncode == want, f"exit code {done.returncode} instead of {want}")
    with open(os.path.join(folder, "out.json"), encoding="utf-8") as file:
        result = json.load(file)
    expect(result["schema"] == "weft.stress/1" and result["exit_code"] == want, "schema and exit code")
    expect((len(os.listdir(work)) > before) == (want != 0), "the directory is kept after a failure only")
    return result["workloads"]


def check_load(load, store="rocksdb"):
    name, check, delay = load["workload"], load["verification"], load["latency_us"]
    expect(load["ops"] > 0 and load["ops_per_second"] > 0 and load["faults"] == 0, f"{name} worked")
    expect(check["sent"] == check["received"] > 0 and check["lost"] == check["corrupt"] == 0, f"{name}: all is there")
    order = [delay[mark] for mark in ("min", "p50", "p90", "p99", "p99.9", "p99.99", "max")]
    expect(order == sorted(order) and order[-1] > 0, f"{name}: percentiles rise")
    expect(sum(n for _, n in delay["histogram_ns"]) == delay["count"], f"{name}: the histogram is complete")
    expect(load["store"] == store and len(load["samples"]) >= 1, f"{name}: the store, and samples")
    expect("place" not in load and load["verdict"] == "pass", f"{name}: nothing of actors")


def put(folder):
    load, = run(folder, "--workload", "put", "--producers", "4", "--payload", "100")
    check_load(load)
    expect(load["producers"] == 4 and load["payload"] == 100 and load["loop"] == "closed", "as asked")
    expect(load["verification"]["sent"] >= load["ops"], "every measured commit was verified")
    expect(0 < load["notes"]["batches"], "the writes are counted")
    expect(0 < load["notes"]["store_memory_bytes"], "and the memory that the store accounts for")


def levels(folder):
    """Every level keeps what it promises: a close takes nothing back, a kill nothing that was written."""
    def one(case):
        level, options = case
        for load in run(tempfile.mkdtemp(dir=folder), *options, "--durability", level):
            check_load(load)
            expect(load["durability"] == level, "the level that was asked for")
            if load["workload"] == "recover":
                expect(("taken back" in load["notes"]) == (level == "memory"), "only memory may be taken back")

    cases = [(level, options) for level in ("written", "memory")
             for options in (["--workload", "put,mixed"], ["--workload", "recover", "--kills", "2"])]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, cases))


def open_loop(folder):
    """At a rate that it can keep, it keeps it, and counts delays from when commits were due."""
    load, = run(folder, "--workload", "put", "--store", "memory", "--rate", "100")
    check_load(load, "memory")
    expect(load["loop"] == "open" and load["ops_per_second"] < 150, "no faster than asked")
    expect(load["latency_us"]["count"] == load["service_us"]["count"], "both delays of every commit")
    expect(load["latency_us"]["mean"] >= load["service_us"]["mean"] * 0.99, "the lag counts")


def mixed(folder):
    for mix, store in (("a", "rocksdb"), ("e", "memory")):
        load, = run(folder, "--workload", "mixed", "--mix", mix, "--store", store, *(("--rate", "1000") if mix != "a" else ()))
        check_load(load, store)
        expect(load["mix"] == mix, "the mix that was asked for")
        done = [load["notes"].get(name, 0) for name in OPERATIONS[mix]]
        expect(done[0] > 0 and sum(done) >= load["ops"], f"{mix}: {OPERATIONS[mix]}")
        expect(load["verification"]["sent"] >= 1000 + done[1] if done[1] else True, "the commits are verified")


def recover(folder):
    load, = run(folder, "--workload", "recover", "--kills", "3")
    check_load(load)
    expect(load["notes"]["kills"] == 3 and load["notes"]["open max us"] > 0, "killed and started again")


def lmdb(folder):
    """The same on the second engine, kills too."""
    for load in run(folder, "--workload", "store", "--engine", "lmdb", "--kills", "2"):
        check_load(load, "lmdb")


def sabotage(folder):
    """An acknowledged entry that is taken away is missed: a check that cannot fail proves nothing."""
    for options in (["--workload", "put,mixed", "--store", "memory"], ["--workload", "recover", "--kills", "1"]):
        for load in run(folder, *options, "--rate", "200", "--sabotage", "lose", want=5):
            expect(load["verification"]["lost"] == 1 and "missing" in load["reason"], f"{load['workload']} saw it")


def vacuous(folder):
    load, = run(folder, "--workload", "recover", "--kills", "0", want=1)
    expect("no kill took place" in load["reason"], "a kill that did not take place is no pass")


def interrupted(folder):
    """A signal ends it in order, and leaves neither a child nor a directory."""
    for name in ("put", "recover"):
        work, command = command_of(folder, "--workload", name, "--duration", "100")
        with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
            child.stderr.readline()  # the first live line
            child.send_signal(signal.SIGINT)
            print(*child.communicate(timeout=DEADLINE))
            expect(child.returncode == 130, f"exit code {child.returncode}")
        expect(os.listdir(work) == [], "nothing is left")


with tempfile.TemporaryDirectory(prefix="weft-stores.") as place:
    globals()[CASE](place)
print("ok", CASE)
