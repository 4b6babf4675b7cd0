#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# run.py - weft's Noise against two implementations that share no code with it: live, both patterns, both roles.
# Called by: meson test (suite interop) and ./dev interop, as: run.py NOISE_PEER [COUNT [ROUNDS]]
# May touch: a temporary folder, the folder of NOISE_PEER (what Go keeps). Never: the network; installs nothing.
"""Two processes are joined by pipes. Both must end well, name the same handshake hash and have echoed all
messages; with prologues that differ neither may. Speaks TAP; skips with a word what is not installed."""
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
GO_PATH = "/usr/share/gocode"  # where Debian keeps the sources of Go packages
PEER = sys.argv[1]
COUNT = sys.argv[2] if len(sys.argv) > 2 else "1000"
ROUNDS = int(sys.argv[3]) if len(sys.argv) > 3 else 1


def dissononce():
    """The command that runs the peer, or why there is none."""
    python = "/usr/bin/python3"  # a package of the system is not seen by another
    probe = subprocess.run([python, "-c", "import dissononce, cryptography"], stderr=subprocess.DEVNULL, check=False)
    if probe.returncode != 0:
        return None, "python3-dissononce and python3-cryptography are not installed"
    return [python, os.path.join(HERE, "dissononce_peer.py")], None


def flynn(folder):
    go = shutil.which("go") or shutil.which("go", path="/usr/lib/go/bin")
    if go is None or not os.path.isdir(os.path.join(GO_PATH, "src/github.com/flynn/noise")):
        return None, "golang-github-flynn-noise-dev and golang-go are not installed"
    program = os.path.join(folder, "flynn_peer")
    env = dict(os.environ, GO111MODULE="off", GOPATH=GO_PATH, GOFLAGS="", GOCACHE=os.path.join(os.path.dirname(os.path.abspath(PEER)), "go-cache"))
    built = subprocess.run([go, "build", "-o", program, os.path.join(HERE, "flynn_peer.go")], env=env, check=False,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if built.returncode != 0:
        sys.stderr.write(built.stdout.decode(errors="replace"))
        return None, "flynn_peer.go could not be built with this Go"
    return [program], None


def join(first, second):
    """Runs both, each one's output the other's input; [(exit code, what it said)]."""
    to_second, to_first = os.pipe(), os.pipe()
    procs = [subprocess.Popen(first, stdin=to_first[0], stdout=to_second[1], stderr=subprocess.PIPE),
             subprocess.Popen(second, stdin=to_second[0], stdout=to_first[1], stderr=subprocess.PIPE)]
    for end in (*to_second, *to_first):
        os.close(end)
    said = []
    for proc in procs:
        try:
            said.append((proc, proc.communicate(timeout=120)[1].decode(errors="replace")))
        except subprocess.TimeoutExpired:
            proc.kill()
            said.append((proc, proc.communicate()[1].decode(errors="replace") + "took too long"))
    return [(proc.returncode, text) for proc, text in said]


def good(results):
    lines = [text.strip().splitlines() for _, text in results]
    return (all(code == 0 for code, _ in results) and lines[0] == lines[1] and len(lines[0]) == 2
            and len(lines[0][0]) == len("hash ") + 128 and lines[0][1] == "echoed " + COUNT)


def main():
    failed, number = 0, 0
    print("1..12")
    with tempfile.TemporaryDirectory() as folder:
        for name, (command, why) in (("dissononce", dissononce()), ("flynn", flynn(folder))):
            cases = [(p, weft) for p in ("XX", "IK") for weft in ("initiator", "responder")] + [("XX", None), ("IK", None)]
            for pattern, role in cases:
                number += 1
                if role is None:
                    claim = f"{name}: {pattern} fails when the prologues differ"
                else:
                    claim = f"{name}: {pattern}, weft is the {role}, {COUNT} echoes, equal hashes"
                if command is None:
                    print(f"ok {number} - {claim} # SKIP {why}", flush=True)
                    continue
                ours = role or "initiator"
                theirs = "responder" if ours == "initiator" else "initiator"
                fine = True
                for _ in range(ROUNDS if role else 1):
                    results = join([PEER, pattern, ours, COUNT, "weft/1"],
                                   [*command, pattern, theirs, COUNT, "weft/1" if role else "weft/2"])
                    if role is None:
                        fine = all(code != 0 for code, _ in results)
                    elif not good(results):
                        fine = False
                    if not fine:
                        print("\n".join(f"# exit {code}: {line}" for code, text in results for line in text.splitlines()))
                        break
                failed += not fine
                print(f"{'ok' if fine else 'not ok'} {number} - {claim}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
