#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# introspect.py - other programs can read what the runtime says of itself.
# Called by: meson test (suite actor), as: introspect.py SAMPLE
# May touch: nothing; runs SAMPLE. Never: the source tree.
"""SAMPLE prometheus: the text exposition format, parsed by its grammar. SAMPLE chrome: JSON, with a slice
that ends for each that begins, and both ends of each arrow. SAMPLE flight: events of both actors."""
import collections
import json
import re
import subprocess
import sys

ORDERS = 50
BAKER, DESK, KIND = "baker \\ 1", "desk", 'shop.order "large"'
sample, bad = sys.argv[1], []


def check(fact, what):
    if not fact:
        bad.append(what)


def output(what):
    return subprocess.run([sample, what], check=True, stdout=subprocess.PIPE, timeout=60).stdout.decode("utf-8")


def prometheus():
    """name -> class -> value, by the format's rules: HELP and TYPE first, all samples of a metric together."""
    text, found, kinds, done = output("prometheus"), {}, {}, set()
    check(text.endswith("\n"), "the text ends with a line end")
    current = None
    for line in text.splitlines():
        if line.startswith("# "):
            word, name, rest = re.fullmatch(r"# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)", line).groups()
            if word == "HELP":
                check(name not in done, f"{name} comes twice")
                current = name
                done.add(name)
            else:
                check(name == current and rest in ("counter", "gauge"), f"type of {name}")
                kinds[name] = rest
                check(rest != "counter" or name.endswith("_total"), f"a counter is called {name}")
            continue
        match = re.fullmatch(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{class="((?:[^"\\\n]|\\["\\n])*)"\})? (\d+(?:\.\d+)?)', line)
        check(match is not None and match[1] == current, f"sample {line}")
        label = re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), match[2] or "")
        check(label not in found.setdefault(current, {}), f"{current} has {label} twice")
        found[current][label] = float(match[3])
    check(found["weft_messages_handled_total"] == {BAKER: ORDERS, DESK: 0}, "every order was handled")
    check(found["weft_messages_system_total"][DESK] >= ORDERS, "every answer came")
    check(found["weft_actor_timer_ticks_total"][DESK] == 1, "one tick")
    check(found["weft_actors"] == {BAKER: 0, DESK: 0}, "all have ended")
    check(found["weft_actor_busy_seconds_total"][BAKER] > 0, "time was measured")
    check(set(kinds) == set(found), "each metric has a type and samples")
    return f"{len(found)} metrics"


def chrome():
    events = json.loads(output("chrome"))["traceEvents"]
    rows = {e["tid"]: e["args"]["name"] for e in events if e["ph"] == "M"}
    check(sorted(rows.values()) == sorted(["threads", BAKER, DESK]), f"rows {rows}")
    timed = sorted((e for e in events if "ts" in e), key=lambda e: e["ts"])  # stable, as a viewer does it
    open_slices, slices = collections.defaultdict(list), collections.Counter()
    for event in timed:
        stack = open_slices[event["tid"]]
        if event["ph"] == "B":
            stack.append(event["name"])
            slices[rows[event["tid"]], event["name"]] += 1
        elif event["ph"] == "E":
            check(stack and stack.pop() == event["name"], f"an end without its begin: {event}")
    check(not any(open_slices.values()), "every slice ends")
    check(slices[BAKER, KIND] == ORDERS and slices[DESK, KIND] == ORDERS, f"slices {slices}")
    check(slices[DESK, "weft.timer"] == 1 and slices[DESK, "weft.init"] == 1, "init and timer")
    arrows = collections.Counter((e["ph"], e["id"]) for e in events if e["ph"] in "sf")
    for (phase, ident), count in arrows.items():
        check(phase != "f" or arrows["s", ident] >= count, f"an arrow without a beginning: {ident}")
    check(sum(n for (p, _), n in arrows.items() if p == "f") == 2 * ORDERS, "an arrow for each order and answer")
    return f"{len(events)} events"


def flight():
    lines = output("flight").splitlines()
    check(lines[0] == "weft flight recorder: dump" and lines[-1] == "end of flight recorder", "head and foot")
    events = [l for l in lines if l.startswith("  ")]
    form = r"  \d+\.\d{9} (send|begin|end|spawn|exit|restart|timer|reply) actor=\d+ name=.+"
    for line in events:
        check(re.fullmatch(form, line), f"event {line}")
    check(any(f"name={BAKER} kind={KIND}" in l for l in events), "the baker's orders")
    check(any(f"exit actor=" in l and f"name={DESK}" in l for l in events), "the desk's end")
    check(sum(l.startswith("thread ") for l in lines) >= 2, "more than one thread")
    return f"{len(events)} events"


for test in (prometheus, chrome, flight):
    print(test.__name__, test())
print("\n".join(bad))
sys.exit(1 if bad else 0)
