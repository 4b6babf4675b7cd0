#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# runs.py - whole runs of weft-stress, judged by exit code and JSON.
# Called by: meson test (suite stress), as: runs.py WEFT_STRESS DATA CASE
# May touch: a temporary folder, processes of its own. Never: waits without a deadline.
"""Each case is one function; its claim is its name."""
import json
import os
import signal
import subprocess
import sys
import tempfile

STRESS, DATA, CASE = sys.argv[1:4]
DEADLINE = 150
TREE_TOPOLOGIES = ("chain", "star")


def expect(condition, text):
    if not condition:
        raise AssertionError(text)


def cut(folder, entries):
    """The first entries of a real history."""
    path = os.path.join(folder, "cut.dag")
    with open(os.path.join(DATA, "redis.dag"), encoding="ascii") as whole, open(path, "w", encoding="ascii") as out:
        out.writelines(line for line, _ in zip((l for l in whole if l[0] != "#"), range(entries)))
    return path


def run(folder, *options, want=0):
    """Runs weft-stress with a JSON file; returns what the file says."""
    out = os.path.join(folder, "out.json")
    if os.path.exists(out):
        os.remove(out)
    command = [STRESS, "--seed", "7", "--timeout", "100", "--dir", folder, "--json", out, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    print("$", " ".join(command), "->", done.returncode)
    print(done.stdout + done.stderr)
    expect(done.returncode == want, f"exit code {done.returncode} instead of {want}")
    if want == 2:
        expect(not os.path.exists(out), "a usage error writes no JSON")
        return None, done
    with open(out, encoding="utf-8") as file:
        result = json.load(file)
    check_schema(result)
    expect(result["exit_code"] == done.returncode, "JSON and exit code agree")
    expect(result["verdict"] == {0: "pass", 5: "fail"}.get(want, "error"), "the verdict follows the exit code")
    return result, done


def check_schema(result):
    integers = ["entries", "lost", "duplicates", "redundant", "seed", "exit_code", "bytes", "kills", "wire_bytes",
                "round_trips", "refused", "peak_rss_kb"]
    for name in integers:
        expect(type(result[name]) is int, f"{name} is an integer")
    expect(result["schema"] == "weft.stress/1" and result["version"], "schema and version")
    for phase in ("prepare", "import", "sync", "live", "settle", "stop", "verify", "total"):
        expect(isinstance(result["seconds"][phase], float), f"seconds.{phase}")
    for kind in ("push", "commit"):
        expect(set(result["latency_ms"][kind]) == {"count", "p50", "p90", "p99", "p99.9", "max"}, kind)
    for node in result["nodes"]:
        for name in ("node", "entries", "duplicates", "redundant", "peak_rss_kb", "restarts", "wire_out"):
            expect(type(node[name]) is int, f"nodes[].{name} is an integer")


def check_pass(result, entries, nodes=3, live=False):
    expect(result["lost"] == 0 and result["duplicates"] == 0 and result["refused"] == 0, "nothing lost or twice")
    acked = result["verification"]["acknowledged_live"]
    expect((acked > 0) == live, "live commits where they were asked for")
    expect(result["entries"] == entries + 1 + acked, "history, root and live commits are expected")
    expect(len(result["nodes"]) == nodes, "every node is listed")
    held = result["entries"] + result["verification"]["unacknowledged"]
    expect(all(node["entries"] == held for node in result["nodes"]), "every node holds all")
    expect(result["verification"]["done"] and result["verification"]["tips_equal"], "verified")
    if result["options"]["topology"] in TREE_TOPOLOGIES:
        expect(result["redundant"] == 0, "nothing crosses where there is one way")
    if live:
        push = result["latency_ms"]["push"]
        expect(push["count"] > 0 and 0 < push["p50"] <= push["p99"] <= push["max"], "delays were measured")


def check_clean(folder, dag=True):
    left = sorted(os.listdir(folder))
    expect(left == (["cut.dag"] if dag else []) + ["out.json"], f"a pass removes its directory: {left}")


def small(folder, *options, entries=300, nodes=3, live=False):
    result, _ = run(folder, "--dag", cut(folder, entries), "--nodes", str(nodes), *options)
    check_pass(result, entries, nodes, live)
    check_clean(folder)
    return result


def mem_memory(folder):
    for topology in ("chain", "ring", "star", "mesh"):
        small(folder, "--transport", "mem", "--store", "memory", "--topology", topology, nodes=4)


def mem_live(folder):
    result = small(folder, "--transport", "mem", "--store", "memory", "--live", "2", live=True)
    expect([h["hops"] for h in result["latency_ms"]["push_by_hops"]] == [1, 2], "a chain of three has two distances")


def tcp_memory(folder):
    small(folder, "--store", "memory")


def mem_rocksdb(folder):
    small(folder, "--transport", "mem")


def tcp_chain(folder):
    small(folder, "--live", "2", "--rate", "40", live=True)


def tcp_ring(folder):
    small(folder, "--topology", "ring", nodes=4)


def tcp_star(folder):
    small(folder, "--topology", "star", nodes=4)


def tcp_mesh(folder):
    small(folder, "--topology", "mesh", "--live", "2", live=True)


def live_without_history(folder):
    result, _ = run(folder, "--live", "1", "--nodes", "2")
    check_pass(result, 0, 2, live=True)
    check_clean(folder, dag=False)


def kill9(folder):
    result = small(folder, "--kill9", "4", "--live", "4", entries=4000, live=True)
    expect(result["kills"] == 4 and sum(n["restarts"] for n in result["nodes"]) == 4, "each kill is followed by a restart")
    expect(len(result["kill_list"]) == 4, "each kill is told")
    for kill in result["kill_list"]:
        early = kill["phase"] in ("import", "sync")
        expect(not early or kill["drawn_share"] <= kill["held_share"] < 1, "early kills hit an unfinished history")


def kill9_without_live(folder):
    result = small(folder, "--kill9", "2")
    expect(result["kills"] == 2, "kills that the history was too short for come after it")


def tcp_lmdb(folder):
    result = small(folder, "--engine", "lmdb", "--live", "2", "--rate", "40", nodes=2, live=True)
    expect(result["options"]["store"] == "lmdb", "the engine that was asked for")


def kill9_lmdb(folder):
    result = small(folder, "--engine", "lmdb", "--kill9", "4", "--live", "4", entries=4000, live=True)
    expect(result["kills"] == 4 and sum(n["restarts"] for n in result["nodes"]) == 4, "each kill is followed by a restart")


def no_lmdb(folder):
    result, done = run(folder, "--dag", cut(folder, 10), "--engine", "lmdb", "--nodes", "2", want=1)
    for text in (result["reason"], done.stderr):
        expect("WEFT_UNSUPPORTED" in text, "what this build has not")


def sabotage(folder):
    for options in (["--transport", "mem", "--store", "memory"], []):
        result, done = run(folder, "--dag", cut(folder, 200), "--sabotage", "lose", *options, want=5)
        expect(result["lost"] >= 1, "the missing entry is counted")
        kept = done.stderr.strip().split()[-1]
        expect(os.path.isdir(kept) and kept.startswith(folder), "the directory is kept and named")


def refused(folder):
    """Exit code 6: peers that prove another key than the expected one."""
    for options in (["--transport", "mem", "--store", "memory"], []):
        result, done = run(folder, "--dag", cut(folder, 200), "--sabotage", "stranger", *options, want=6)
        for text in (result["reason"], done.stderr):
            expect("connecting to a peer: the peer proved another key" in text, "who was refused, and why")


def corrupt(folder):
    """Exit code 7: a byte of a store, or of a dump, is another one."""
    for options in (["--transport", "mem", "--store", "memory"], []):
        result, done = run(folder, "--dag", cut(folder, 2000), "--sabotage", "flip", *options, want=7)
        for text in (result["reason"], done.stderr):
            expect("the store of node " in text and "do not verify (WEFT_CORRUPT)" in text, "which store")
    expect("checksum mismatch" in result["reason"] and ".sst" in result["reason"], "what the engine said")


def newer(folder):
    """Exit code 8: a store of a later version."""
    result, done = run(folder, "--dag", cut(folder, 200), "--sabotage", "newer", want=8)
    for text in (result["reason"], done.stderr):
        expect("the store of node " in text and "(WEFT_VERSION)" in text, "which store")


def full_disk(folder):
    """What failed, where and why, with --quiet and without. There is room to open both stores, not for all that comes."""
    wrap = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=16m none "$1" && shift && "$@"', "sh", folder]
    if subprocess.run(wrap + ["true"], capture_output=True, check=False).returncode != 0:
        print("this system lets us mount nothing: skipped")
        sys.exit(77)
    dag = os.path.join(DATA, "redis.dag")
    for quiet in ([], ["--quiet"]):
        done = subprocess.run(wrap + [STRESS, "--dag", dag, "--nodes", "2", "--dir", folder, *quiet],
                              capture_output=True, text=True, timeout=100, check=False)
        print(done.stdout + done.stderr)
        expect(done.returncode == 1, f"exit code {done.returncode}")
        expect("Assertion" not in done.stderr and "signal" not in done.stderr, "no node was aborted")
        lines = [line for line in done.stderr.splitlines() if "the disk is full (WEFT_NO_SPACE)" in line]
        expect(len(lines) == 1 and lines[0].startswith("weft-stress: node "), "one sentence on standard error")
        expect("store: path=" in lines[0], "the path and the operation")


def git_history(folder):
    repo = os.path.join(folder, "repo")
    env = dict(os.environ, GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_SYSTEM="/dev/null")

    def git(*words, who="a"):
        subprocess.run(["git", "-C", repo, "-c", f"user.name={who}", "-c", f"user.email={who}@example.org", *words],
                       env=env, check=True, capture_output=True, timeout=60)
    os.mkdir(repo)
    git("init", "-q", "-b", "main")
    for i in range(4):
        git("commit", "--allow-empty", "-qm", f"c{i}", who="ab"[i % 2])
    git("checkout", "-q", "-b", "side", "HEAD~2")
    git("commit", "--allow-empty", "-qm", "side")
    git("checkout", "-q", "main")
    git("merge", "-q", "--no-ff", "-m", "merge", "side")
    result, _ = run(folder, "--git", repo, "--transport", "mem", "--store", "memory", "--nodes", "2")
    check_pass(result, 6, 2)


def errors(folder):
    dag = cut(folder, 5)
    _, done = run(folder, "--dag", dag, "--kill9", "1", "--transport", "mem", want=2)
    expect(done.stderr.count("\n") == 1 and "--kill9" in done.stderr, "one clear sentence")
    with open(dag, "a", encoding="ascii") as file:
        file.write("9\t0\t1\t1\n")
    _, done = run(folder, "--dag", dag, want=2)
    expect("cut.dag:6: entry 5 names parent 9" in done.stderr, "file, line and reason")
    run(folder, "--dag", os.path.join(folder, "missing.dag"), want=3)
    gone = os.path.join(folder, "gone")
    done = subprocess.run([STRESS, "--dag", dag, "--dir", gone], capture_output=True, text=True, timeout=20, check=False)
    expect(done.returncode == 3 and gone in done.stderr, "a directory that is not there is named")
    expect(not os.path.exists(gone), "and not made")
    done = subprocess.run([STRESS, "--live", "60", "--json", os.path.join(folder, "none", "out.json")],
                          capture_output=True, text=True, timeout=20, check=False)
    expect(done.returncode == 1 and "No such file" in done.stderr, "a result that cannot be written is said first")
    run(folder, "--git", folder, want=3)
    with open(dag, "w", encoding="ascii") as file:
        file.write("# nothing\n")
    result, _ = run(folder, "--dag", dag, want=1)
    expect("nothing would be tested" in result["reason"], "an empty history is no pass")
    os.remove(dag)


def json_to_stdout(folder):
    command = [STRESS, "--dag", cut(folder, 50), "--transport", "mem", "--store", "memory", "--json", "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    print(done.stdout + done.stderr)
    check_schema(json.loads(done.stdout))
    expect(done.returncode == 0 and "PASS" in done.stderr, "the table moves to standard error")
    done = subprocess.run(command[:-2] + ["--quiet"], capture_output=True, text=True, timeout=DEADLINE, check=False)
    expect((done.returncode, done.stdout, done.stderr) == (0, "", ""), "--quiet says nothing")


def interrupted(folder):
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        out = os.path.join(folder, "out.json")
        process = subprocess.Popen([STRESS, "--live", "60", "--nodes", "2", "--dir", folder, "--json", out],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        children = []
        while len(children) < 2 and process.poll() is None: # until both nodes are there
            with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as file:
                children = file.read().split()
        process.send_signal(number)
        _, talk = process.communicate(timeout=60)
        print(talk)
        expect(process.returncode == code, f"exit code {process.returncode} instead of {code}")
        with open(out, encoding="utf-8") as file:
            expect(json.load(file)["verdict"] == "error", "JSON is written")
        expect(not any(os.path.exists(f"/proc/{pid}") for pid in children), "no child is left")
        expect(sorted(os.listdir(folder)) == ["out.json"], "the directory is removed")


def container(folder):
    """As the first process of a container, where nodes have a parent with number 1."""
    wrap = ["unshare", "--pid", "--fork", "--mount-proc"]
    if subprocess.run(wrap + ["true"], capture_output=True, check=False).returncode != 0:
        print("this system lets us make no process namespace: skipped")
        sys.exit(77)
    done = subprocess.run(wrap + [STRESS, "--dag", cut(folder, 200), "--nodes", "2", "--dir", folder],
                          capture_output=True, text=True, timeout=100, check=False)
    print(done.stdout, done.stderr)
    expect(done.returncode == 0, f"exit code {done.returncode}")


def deadline(folder):
    out = os.path.join(folder, "out.json")
    done = subprocess.run([STRESS, "--live", "60", "--nodes", "2", "--timeout", "2", "--dir", folder, "--json", out],
                          capture_output=True, text=True, timeout=60, check=False)
    print(done.stdout + done.stderr)
    expect(done.returncode == 4, "a deadline is exit code 4")
    with open(out, encoding="utf-8") as file:
        expect(json.load(file)["exit_code"] == 4, "JSON is written")


with tempfile.TemporaryDirectory(prefix="weft-runs.") as place:
    globals()[CASE](place)
print("ok", CASE)
