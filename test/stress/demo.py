#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# demo.py - the demo ends well, in time, and leaves nothing behind.
# Called by: meson test (suite stress), as: demo.py WEFT_DEMO
# May touch: a temporary folder. Never: waits without a deadline.
import json
import os
import subprocess
import sys
import tempfile

with tempfile.TemporaryDirectory(prefix="weft-demo-test.") as place:
    out = os.path.join(place, "out.json")
    os.mkdir(os.path.join(place, "tmp"))
    done = subprocess.run([sys.argv[1], "--fast", "--json", out], capture_output=True, text=True, timeout=120,
                          check=False, env=dict(os.environ, TMPDIR=os.path.join(place, "tmp")))
    print(done.stdout + done.stderr)
    assert done.returncode == 0, done.returncode
    assert "NOT TRUE" not in done.stdout and "OK" in done.stdout
    with open(out, encoding="utf-8") as file:
        result = json.load(file)
    assert result["verdict"] == "pass" and result["lost"] == 0
    assert result["attacks"] == result["refused"] >= 6
    assert sum(node["restarts"] for node in result["nodes"]) == 1
    assert os.listdir(os.path.join(place, "tmp")) == [], "nothing is left behind"
print("ok")
