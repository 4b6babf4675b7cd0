#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# run.py - looks for inputs that break weft, with one of two engines, and says how many it tried.
# Called by: ./dev fuzz, as: run.py BUILD_DIR [--runs N] [--afl SECONDS] [--keep] [--jobs N] [TARGET...]
# May touch: BUILD_DIR (inputs, findings); with --keep also test/data/fuzz. Never: the network.
"""Each target starts from the inputs in test/data/fuzz/TARGET and from what earlier runs left in
BUILD_DIR/inputs/TARGET. A finding stays in BUILD_DIR/findings: mend the fault, and add the input to
test/data/fuzz/TARGET under a name that says what it was."""
import argparse
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
KEPT = os.path.join(HERE, "..", "data", "fuzz")
# target -> (longest input, one of how many runs: a handshake or a whole node takes its time)
TARGETS = {"scan": (1024, 1), "frame": (4096, 1), "msg": (4096, 1), "entry": (4096, 1), "map": (4096, 1), "addr": (600, 1), "ticket": (4096, 1),
           "http": (5000, 1), "record": (4096, 1), "session": (1024, 1), "noise": (320, 20), "keystore": (4096, 20), "node": (400, 200)}
PLANT, PLANT_RUNS = (128, 1), 100000
KEPT_BYTES, KEPT_INPUTS = 150000, 120  # of a target: 2 MB in all are the bound, and every lane replays them


def listing(folder):
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


def program(build, target):
    return os.path.join(build, "test", "fuzz", "fuzz-" + target)


def libfuzzer(build, target, runs, log, inputs, extra=()):
    """Runs one target; (exit code, executions)."""
    longest = TARGETS.get(target, PLANT)[0]
    findings = os.path.join(build, "findings", "")
    os.makedirs(findings, exist_ok=True)
    command = [program(build, target), f"-runs={runs}", f"-max_len={longest}",
               "-timeout=60", "-rss_limit_mb=2048", "-malloc_limit_mb=512", "-print_final_stats=1",
               f"-artifact_prefix={findings}{target}-", *extra, *inputs]
    env = dict(os.environ, ASAN_OPTIONS="detect_leaks=1:allocator_may_return_null=1",
               UBSAN_OPTIONS="print_stacktrace=1")
    with open(log, "w", encoding="utf-8") as file:
        status = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env=env, check=False).returncode
    with open(log, encoding="utf-8", errors="replace") as file:
        said = file.read()
    done = re.findall(r"stat::number_of_executed_units: (\d+)", said) or re.findall(r"^#(\d+)\t", said, flags=re.M)
    return status, int(done[-1]) if done else 0


def own_inputs(build, target):
    folder = os.path.join(build, "inputs", target)
    os.makedirs(folder, exist_ok=True)
    return folder


def run_target(build, target, runs):
    start = time.monotonic()
    share = max(1, runs // TARGETS[target][1])
    kept = os.path.join(KEPT, target)
    log = os.path.join(build, f"fuzz-{target}.log")
    status, done = libfuzzer(build, target, share, log, [own_inputs(build, target), kept])
    took = time.monotonic() - start
    return target, status, done, share, took, log


def plant(build):
    """A mistake in a copy of `msg` must be found, from the golden bytes alone."""
    with tempfile.TemporaryDirectory() as folder:
        golden = os.path.join(HERE, "..", "data", "wire_v1")
        for leaf in listing(golden):
            if os.path.getsize(os.path.join(golden, leaf)) < 4096:
                shutil.copy(os.path.join(golden, leaf), folder)
        log = os.path.join(build, "fuzz-plant.log")
        status, done = libfuzzer(build, "plant", PLANT_RUNS, log, [folder], ["-seed=1"])
        for leaf in listing(os.path.join(build, "findings")):
            if leaf.startswith("plant-"):
                os.unlink(os.path.join(build, "findings", leaf))
    with open(log, encoding="utf-8", errors="replace") as file:
        found = status != 0 and "heap-buffer-overflow" in file.read()
    print(f"{'ok' if found else 'NOT OK'} plant: a read of one byte too many was "
          f"{'found' if found else 'not found'} within {done:,} executions")
    return found


def keep(build, target):
    """Replaces the kept inputs by the smallest set that reaches as much; those with names of their own stay."""
    kept = os.path.join(KEPT, target)
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(build, f"keep-{target}.log")
        named = [leaf for leaf in listing(kept) if not re.fullmatch(r"[0-9a-f]{40}", leaf)]
        for leaf in named:
            shutil.copy(os.path.join(kept, leaf), folder)
        status, _ = libfuzzer(build, target, 0, log, [folder, kept, own_inputs(build, target)], ["-merge=1"])
        if status != 0:
            return False
        for leaf in listing(kept):
            if leaf not in named:
                os.unlink(os.path.join(kept, leaf))
        fresh = sorted((os.path.getsize(os.path.join(folder, leaf)), leaf) for leaf in listing(folder) if leaf not in named)
        # Of too many some of each size: the small say most by the byte, the large are what took long to find.
        step = max(1.0, len(fresh) / KEPT_INPUTS)
        room, count = KEPT_BYTES, 0
        for i in range(int(len(fresh) / step)):
            size, leaf = fresh[int(i * step)]
            if size > room:
                break
            shutil.copy(os.path.join(folder, leaf), kept)
            room, count = room - size, count + 1
    print(f"{target}: {len(named)} named inputs and {count} of {len(fresh)} others are kept")
    return True


def afl(build, target, seconds):
    """The second engine, from the same inputs; (ok, executions)."""
    out = os.path.join(build, "afl", target)
    shutil.rmtree(out, ignore_errors=True)
    os.makedirs(os.path.dirname(out), exist_ok=True)
    log = os.path.join(build, f"afl-{target}.log")
    env = dict(os.environ, AFL_SKIP_CPUFREQ="1", AFL_NO_UI="1", AFL_NO_AFFINITY="1",
               AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES="1")
    command = ["afl-fuzz", "-V", str(seconds), "-t", "5000", "-G", str(TARGETS[target][0]), "-i",
               os.path.join(KEPT, target), "-o", out, "--", program(build, target)]
    with open(log, "w", encoding="utf-8") as file:
        subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env=env, check=False)
    try:
        with open(os.path.join(out, "default", "fuzzer_stats"), encoding="utf-8") as file:
            stats = dict(line.strip().split(":", 1) for line in file if ":" in line)
        stats = {key.strip(): value.strip() for key, value in stats.items()}
        done = int(stats["execs_done"])
        bad = int(stats.get("saved_crashes", 0)) + int(stats.get("saved_hangs", 0))
    except (OSError, KeyError):
        done, bad = 0, 1
    print(f"{'ok' if not bad else 'NOT OK'} afl {target}: {done:,} executions in {seconds} s, {bad} findings"
          + (f" (log: {log})" if bad else ""), flush=True)
    return not bad, done


def main():
    parser = argparse.ArgumentParser(prog="./dev fuzz")
    parser.add_argument("build")
    parser.add_argument("--runs", type=int, default=2000000, help="of a quick target; slow ones a share of it")
    parser.add_argument("--afl", type=int, metavar="SECONDS", help="AFL++ instead, so long for each target")
    parser.add_argument("--keep", action="store_true", help="put what was found to matter into test/data/fuzz")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    args = parser.parse_intermixed_args()
    names = args.targets or [name for name in TARGETS if os.path.exists(program(args.build, name))]
    unknown = [name for name in names if name not in TARGETS]
    if unknown:
        parser.error(f"no such target: {', '.join(unknown)}")
    good, total, results = 0, 0, []
    if args.keep:
        return 0 if all([keep(args.build, name) for name in names]) else 1
    if args.afl:
        results = [afl(args.build, name, args.afl) for name in names]
        good, total = sum(ok for ok, _ in results), sum(done for _, done in results)
    else:
        results.append(plant(args.build))
        with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
            order = sorted(names, key=lambda name: -TARGETS[name][1])  # the slow ones first
            for job in concurrent.futures.as_completed([pool.submit(run_target, args.build, n, args.runs) for n in order]):
                target, status, done, share, took, log = job.result()
                ok = status == 0 and done >= share
                results.append(ok)
                total += done
                print(f"{'ok' if ok else 'NOT OK'} {target}: {done:,} executions in {took:.0f} s"
                      + ("" if ok else f" (log: {log})"), flush=True)
        good = sum(results)
    print(f"{total:,} executions in all")
    print(f"{good} passed, {len(results) - good} failed")
    return 0 if good == len(results) else 1


if __name__ == "__main__":
    sys.exit(main())
