# SPDX-License-Identifier: Apache-2.0
"""Driver of the mailbox benchmark; run.sh calls it.

For each case it runs every peer once, then every peer again, `--rounds` times,
so that a noisy moment hits all of them.  Nothing is pinned.  Before each run it
waits (at most --quiet-wait seconds) for the machine to be idle, and it notes
how much CPU time others took during the run; a run where that was more than
--max-steal of the machine is repeated, up to --tries times, and the quietest
try is kept.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

CASES = ["throughput", "pingpong", "fanin-burst", "ask"]
MESSAGES = {"throughput": 2_000_000, "pingpong": 50_000, "fanin-burst": 200_000, "ask": 100_000}
NCPU = os.cpu_count() or 1
HZ = os.sysconf("SC_CLK_TCK")


def busy_seconds():
    """(busy CPU seconds, stolen CPU seconds) of the whole machine so far."""
    f = [int(x) for x in open("/proc/stat").readline().split()[1:]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = f[:8]
    return (user + nice + system + irq + softirq) / HZ, steal / HZ


def wait_quiet(limit, share):
    end = time.monotonic() + limit
    while True:
        a, _ = busy_seconds()
        t = time.monotonic()
        time.sleep(0.15)
        b, _ = busy_seconds()
        if (b - a) / ((time.monotonic() - t) * NCPU) <= share:
            return True
        if time.monotonic() > end:
            return False


def run_once(peer, case, producers, messages, limit):
    cmd, late = peer["cmd"], peer["late"]
    argv = cmd + [case, "--producers", str(producers), "--messages", str(messages), "--name", peer["name"]] + late
    b0, s0 = busy_seconds()
    w0 = time.monotonic()
    p = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        out, err = p.stdout, p.stderr
        deadline = time.monotonic() + limit
        pid = status = 0
        while pid == 0:
            pid, status, ru = os.wait4(p.pid, os.WNOHANG)
            if pid == 0:
                if time.monotonic() > deadline:
                    p.kill()
                    os.wait4(p.pid, 0)
                    p.returncode = -9
                    return {"error": "timeout"}
                time.sleep(0.01)
        p.returncode = os.waitstatus_to_exitcode(status)
        text, errtext = out.read(), err.read()
    finally:
        p.stdout.close()
        p.stderr.close()
    wall = time.monotonic() - w0
    b1, s1 = busy_seconds()
    if p.returncode:
        return {"error": f"exit {p.returncode}: {errtext.strip()[:200]}"}
    try:
        r = json.loads(text.strip().splitlines()[-1])
    except (ValueError, IndexError):
        return {"error": "no JSON: " + text[:200]}
    own = ru.ru_utime + ru.ru_stime
    r["cpu_s"] = round(own, 4)
    r["sys_s"] = round(ru.ru_stime, 4)
    r["rss_kb"] = ru.ru_maxrss
    r["sleeps"] = ru.ru_nvcsw
    r["wall_s"] = round(wall, 4)
    r["others"] = round(max(0.0, (b1 - b0 - own) / (wall * NCPU)), 3)
    r["steal"] = round((s1 - s0) / (wall * NCPU), 3)
    return r


def handoff():
    """ns to hand a cache line to the other CPU just now; a hypervisor that moves
    its virtual CPUs about changes this by ten times, and the results with it."""
    try:
        return float(subprocess.run(["build/phys", "handoff"], capture_output=True, text=True, timeout=20).stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None


def load_peers(path, only):
    peers = []
    for line in open(path):
        line = line.split("#", 1)[0].strip()
        if not line:
            continue
        name, cases, div, kind, cmd = [x.strip() for x in line.split("|")]
        words = cmd.split()
        late = []
        if "--" in words:
            i = words.index("--")
            words, late = words[:i], words[i + 1:]
        if only and name not in only:
            continue
        prog = next((w for w in words if w.startswith("build/") or "/" in w), words[0])
        if not os.path.exists(prog) and not shutil.which(prog):
            print(f"left out: {name} ({prog} is not built)", file=sys.stderr)
            continue
        peers.append({"name": name, "cases": CASES if cases == "all" else cases.split(","),
                      "div": int(div), "kind": kind, "cmd": words, "late": late})
    return peers


def quietest(rows, n):
    """Whole rounds (every peer of them), the n quietest of each case."""
    by = {}
    for r in rows:
        by.setdefault((r["case"], r["producers"]), {}).setdefault(r["round"], []).append(r)
    out = []
    for rounds in by.values():
        def noise(rs):
            return statistics.mean([r["others"] for r in rs if "others" in r] or [1.0])
        for rnd in sorted(rounds, key=lambda k: noise(rounds[k]))[:n]:
            out += rounds[rnd]
    return out


def human(ns):
    if ns is None:
        return ""
    return f"{ns / 1000:.2f}" if ns < 1000 else f"{ns / 1000:.1f}" if ns < 100_000 else f"{ns / 1000:.0f}"


def rate(x):
    return f"{x / 1e6:.2f} M" if x >= 1e6 else f"{x / 1e3:.1f} k"


def summarize(rows, baseline):
    good = [r for r in rows if "error" not in r]
    order = []
    for r in rows:
        if r["peer"] not in order:
            order.append(r["peer"])

    def pick(case, p, peer):
        return [r for r in good if r["case"] == case and r["producers"] == p and r["peer"] == peer]

    def dnf(case, p, peer):
        n = sum(1 for r in rows if "error" in r and r["case"] == case and r["producers"] == p and r["peer"] == peer)
        return f" [{n} failed]" if n else ""

    def med(rs, k):
        v = [r[k] for r in rs if r.get(k) is not None]
        return statistics.median(v) if v else None

    ps = sorted({r["producers"] for r in good if r["case"] == "throughput"})
    if ps:
        print(f"### throughput, messages/s: median of the rounds (ratio to {baseline}); spread is (max-min)/median\n")
        print("| peer | " + " | ".join(f"P={p}" for p in ps) + " | CPU ns/msg (P=" + str(ps[-1]) + ") | peak MiB | worst spread |")
        print("|---|" + "---:|" * (len(ps) + 3))
        for peer in order:
            cells, worst, rs = [], 0.0, []
            for p in ps:
                rs = pick("throughput", p, peer)
                base = med(pick("throughput", p, baseline), "msgs_per_sec")
                m = med(rs, "msgs_per_sec")
                if m is None:
                    cells.append("-" + dnf("throughput", p, peer))
                    continue
                v = [r["msgs_per_sec"] for r in rs]
                worst = max(worst, (max(v) - min(v)) / m)
                cells.append(rate(m) + (f" ({m / base:.2f})" if base else "") + dnf("throughput", p, peer))
            if all(c == "-" for c in cells):
                continue
            cpu = statistics.median([r["cpu_s"] / r["messages"] * 1e9 for r in rs]) if rs else 0
            rss = max((r["rss_kb"] for p in ps for r in pick("throughput", p, peer)), default=0)
            print(f"| {peer} | " + " | ".join(cells) + f" | {cpu:.0f} | {rss / 1024:.0f} | {worst * 100:.0f}% |")
        print()
    for case, per in (("pingpong", "round trips/s"), ("fanin-burst", "messages/s"), ("ask", "replies/s")):
        for p in sorted({r["producers"] for r in good if r["case"] == case}):
            print(f"### {case} (P={p}), latencies in us, medians of the rounds\n")
            print(f"| peer | {per} | min-max | ratio to {baseline} | p50 | p99 | p99.9 | CPU ns/msg |")
            print("|---|---:|---:|---:|---:|---:|---:|---:|")
            base = med(pick(case, p, baseline), "msgs_per_sec")
            for peer in order:
                rs = pick(case, p, peer)
                if not rs:
                    continue
                v = [r["msgs_per_sec"] for r in rs]
                m = statistics.median(v)
                cpu = statistics.median([r["cpu_s"] / r["messages"] * 1e9 for r in rs])
                print(f"| {peer} | {rate(m)}{dnf(case, p, peer)} | {rate(min(v))} - {rate(max(v))} | "
                      + (f"{m / base:.2f}" if base else "")
                      + f" | {human(med(rs, 'p50_ns'))} | {human(med(rs, 'p99_ns'))} | {human(med(rs, 'p999_ns'))} | {cpu:.0f} |")
            print()
    if good:
        o = sorted(r["others"] for r in good)
        print(f"{len(good)} runs; CPU taken by others during a run: median {o[len(o) // 2] * 100:.1f}% of the machine, "
              f"p90 {o[len(o) * 9 // 10] * 100:.1f}%, worst {o[-1] * 100:.1f}%.")
        h = sorted({(r["case"], r["producers"], r["round"]): r["handoff_ns"] for r in good if r.get("handoff_ns")}.values())
        if h:
            print(f"Cache line handoff between the CPUs, probed before each round: median {h[len(h) // 2]:.0f} ns, {h[0]:.0f} - {h[-1]:.0f} ns.")
    bad = [r for r in rows if "error" in r]
    for r in bad:
        print(f"FAILED: {r['peer']} {r['case']} P={r['producers']} round {r.get('round')}: {r['error']}")


def kinds(path):
    """name -> thread or task, of all peers of the list, built or not"""
    out = {}
    for line in open(path):
        line = line.split("#", 1)[0].strip()
        if line:
            out[line.split("|")[0].strip()] = line.split("|")[3].strip()
    return out


def versus(rows, ours, kind_of):
    """The best row of ours against the best of the others: the median, over the rounds, of the
    ratio within a round. More than 1 is ahead, also where less is better."""
    good = [dict(r, cpu_ns=r["cpu_s"] * 1e9 / r["messages"]) for r in rows if "error" not in r]

    def bounded(name):  # in fanin-burst, a small mailbox holds the sender back
        return "-b100" in name and "-b1024" not in name

    def table(case, p, field, less, only):
        byp = {}
        for r in good:
            if r["case"] == case and r["producers"] == p and r.get(field) and only(r["peer"]):
                byp.setdefault(r["peer"], {})[r["round"]] = r[field]
        med = {n: statistics.median(v.values()) for n, v in byp.items()}
        mine = {n for n in med if n.startswith(ours)}
        if not mine or mine == set(med):
            return None
        pick = min if less else max
        a, b = pick(mine, key=med.get), pick(set(med) - mine, key=med.get)
        both = sorted(set(byp[a]) & set(byp[b]))
        if not both:
            return None
        ratios = [byp[b][k] / byp[a][k] if less else byp[a][k] / byp[b][k] for k in both]
        show = (lambda ns: f"{ns:.0f}") if field == "cpu_ns" else human if less else rate
        return (f"{a} {show(med[a])}", f"{b} {show(med[b])}", statistics.median(ratios), min(ratios), max(ratios), len(both))

    print(f"### {ours} against the best of the others: median of the ratios within a round (more than 1: ahead)\n")
    print("| case | among | best of ours | best of the others | ratio | worst - best round | rounds |")
    print("|---|---|---|---|---:|---:|---:|")
    for case, p in sorted({(r["case"], r["producers"]) for r in good}):
        fields = [("msgs_per_sec", "/s", False), ("cpu_ns", "CPU ns/msg", True)]
        if case == "fanin-burst":
            fields = [("p50_ns", "p50 us", True), ("p99_ns", "p99 us", True), ("p999_ns", "p99.9 us", True)]
        elif case != "throughput":
            fields += [("p50_ns", "p50 us", True), ("p99_ns", "p99 us", True)]
        for field, unit, less in fields:
            for among in ("all", "thread", "task"):
                for small in ((False, True) if case == "fanin-burst" else (None,)):
                    def only(n):
                        return (among == "all" or kind_of.get(n) == among) and (small is None or bounded(n) == small)
                    got = table(case, p, field, less, only)
                    if got:
                        title = f"{case} P={p} {unit}" + (", mailbox of 100" if small else "")
                        print(f"| {title} | {among} | {got[0]} | {got[1]} | {got[2]:.2f} | {got[3]:.2f} - {got[4]:.2f} | {got[5]} |")
    print()


def main():
    a = argparse.ArgumentParser(prog="run.sh")
    a.add_argument("--rounds", type=int, default=5)
    a.add_argument("--cases", default=",".join(CASES))
    a.add_argument("--producers", default="1,2,4,8", help="for throughput")
    a.add_argument("--peers", default="", help="comma list; all of the list without it")
    a.add_argument("--conf", default="peers.conf", help="another list of peers")
    a.add_argument("--baseline", default="mutex")
    a.add_argument("--scale", type=float, default=1.0, help="multiplies the message counts")
    a.add_argument("--out", default="results/latest.jsonl", help="every run is written there")
    a.add_argument("--append", action="store_true")
    a.add_argument("--report", nargs="+", metavar="FILE", help="only print the tables of saved runs")
    a.add_argument("--best", type=int, default=0, metavar="N",
                   help="with --report: of each case keep only the N rounds in which others took the least CPU")
    a.add_argument("--quiet-wait", type=float, default=8.0)
    a.add_argument("--quiet-share", type=float, default=0.15)
    a.add_argument("--max-steal", type=float, default=0.10)
    a.add_argument("--tries", type=int, default=3)
    a.add_argument("--timeout", type=float, default=20.0)
    a.add_argument("--versus", metavar="PREFIX", help="after the tables, and with --report: the best peer of "
                   "this name against the best of the others, among all, threads, tasks")
    o = a.parse_args()
    if o.report:
        rows = [json.loads(x) for f in o.report for x in open(f)]
        only = set(o.peers.split(",")) if o.peers else None
        if o.best:
            rows = quietest(rows, o.best)
        rows = [r for r in rows if not only or r["peer"] in only]
        summarize(rows, o.baseline)
        if o.versus:
            versus(rows, o.versus, kinds(o.conf))
        return 0
    peers = load_peers(o.conf, set(o.peers.split(",")) if o.peers else None)
    os.makedirs(os.path.dirname(o.out) or ".", exist_ok=True)
    rows, first, hopeless = [], 0, set()
    if o.append and os.path.exists(o.out):
        first = 1 + max([json.loads(x).get("round", 0) for x in open(o.out)] or [-1])
    with open(o.out, "a" if o.append else "w") as log:
        for case in o.cases.split(","):
            plist = [int(x) for x in o.producers.split(",")] if case == "throughput" else [4 if case == "ask" else 1]
            for producers in plist:
                for rnd in range(o.rounds):
                    t = time.monotonic()
                    near = handoff()
                    for peer in peers:
                        if case not in peer["cases"]:
                            continue
                        if (peer["name"], case, producers) in hopeless:
                            best = {"error": "not run again after a timeout"}
                            best.update(peer=peer["name"], case=case, producers=producers, round=first + rnd)
                            rows.append(best)
                            log.write(json.dumps(best) + "\n")
                            continue
                        n = max(1000, int(MESSAGES[case] * o.scale / peer["div"]))
                        best = None
                        for _ in range(o.tries):
                            wait_quiet(o.quiet_wait, o.quiet_share)
                            r = run_once(peer, case, producers, n, o.timeout)
                            if "error" in r:
                                best = best or r
                                if r["error"] == "timeout":
                                    hopeless.add((peer["name"], case, producers))
                                break
                            if best is None or "error" in best or r["others"] < best["others"]:
                                best = r
                            if r["others"] <= o.max_steal:
                                break
                        best.update(peer=peer["name"], case=case, producers=producers, round=first + rnd, handoff_ns=near)
                        rows.append(best)
                        log.write(json.dumps(best) + "\n")
                        log.flush()
                    print(f"{case} P={producers} round {rnd + 1}/{o.rounds}: {time.monotonic() - t:.0f} s", file=sys.stderr)
    summarize(rows, o.baseline)
    if o.versus:
        versus(rows, o.versus, kinds(o.conf))
    return 1 if any("error" in r for r in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
