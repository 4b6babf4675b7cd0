#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# fork_runner.py - shows that the fork runner fails what must fail and passes what must pass.
# Called by: meson test (suite house), as: fork_runner.py SUPPORT_DIR SAMPLE.c COMPILER...
# May touch: a temporary directory. Never: the build folder.
"""Compile the sample with each sanitizer, run it, compare every TAP line with what its name promises."""
import os
import re
import subprocess
import sys
import tempfile

support, sample, compiler = sys.argv[1], sys.argv[2], sys.argv[3:]
env = {k: v for k, v in os.environ.items() if not k.endswith("SAN_OPTIONS")}
wrong = []


def expected(name, sanitizer):
    kind = name.split("/")[1].split("_")[0]
    if kind in ("good", "skip"):
        return kind
    if kind in ("tsan", "asan"):
        return "bad" if (kind == "tsan") == (sanitizer == "thread") else "good"
    return "bad"


with tempfile.TemporaryDirectory() as folder:
    for sanitizer in ("address,undefined", "thread"):
        program = os.path.join(folder, "sample")
        subprocess.run(
            compiler + ["-std=gnu11", "-D_GNU_SOURCE", "-O1", "-g", "-w", "-fsanitize=" + sanitizer,
                        "-I" + support, sample, support + "/criterion_fork_runner.c",
                        support + "/criterion_fork_asserts.c", "-o", program, "-pthread", "-lm"], check=True)
        run = subprocess.run([program], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
        lines = run.stdout.decode().splitlines()
        seen = 0
        for line in lines[:-1]:
            match = re.fullmatch(r"(not )?ok \d+ - ([\w/]+)(\[\d\])?( # .*)?", line)
            if match is None:
                wrong.append(f"{sanitizer}: not TAP: {line}")
                continue
            seen += 1
            got = "bad" if match[1] else "skip" if "# SKIP" in line else "good"
            want = expected(match[2], sanitizer)
            if got != want:
                wrong.append(f"{sanitizer}: {match[2]} should be {want}: {line}")
        if lines[-1:] != [f"1..{seen}"] or seen < 25:
            wrong.append(f"{sanitizer}: plan {lines[-1:]} for {seen} tests")
        if run.returncode != 1:
            wrong.append(f"{sanitizer}: exit code {run.returncode} with failed tests")
        print(f"{sanitizer}: {seen} outcomes looked at")
        if wrong:
            sys.stderr.write(run.stderr.decode(errors="replace"))
print("\n".join(wrong))
sys.exit(1 if wrong else 0)
