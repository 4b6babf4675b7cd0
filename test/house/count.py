#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# count.py - adds up what a `meson test` run did, test by test rather than program by program.
# Called by: ./dev test, as: count.py [--show] testlog.json
# May touch: the log, reading. Never: the verdict of a program that Meson calls failed.
"""Prints `PASSED FAILED SKIPPED`; with --show, what failed and the end of its output."""
import json
import os
import re
import sys

show = sys.argv[1] == "--show"
passed = failed = skipped = 0
if not os.path.exists(sys.argv[-1]):  # Meson writes no log when a folder has no tests
    sys.exit("no test was run")
with open(sys.argv[-1], encoding="utf-8") as log:
    for line in log:
        run = json.loads(line)
        output = run.get("stdout") or ""
        cases = re.findall(r"^(not )?ok\b[^#\n]*(#\s*SKIP)?", output, flags=re.M | re.I)
        good = run["result"] in ("OK", "EXPECTEDFAIL", "SKIP")
        if not cases:  # a program that speaks no TAP is one test
            cases = [("", "SKIP" if run["result"] == "SKIP" else "")] if good else [("not ", "")]
        bad = sum(1 for no, _ in cases if no)
        skips = sum(1 for no, skip in cases if skip and not no)
        passed += len(cases) - bad - skips
        skipped += skips
        failed += bad if good else max(bad, 1)  # a crash after the last test counts, too
        if show and (bad or not good):
            print(f"--- {run['name']}: {run['result']}, exit code {run['returncode']}")
            for text in (output, run.get("stderr") or ""):
                lines = [line for line in text.splitlines() if not re.match(r"ok\b", line)]
                print("\n".join(lines[-60:]))
if not show:
    print(passed, failed, skipped)
