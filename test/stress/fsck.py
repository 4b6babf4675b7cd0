#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# fsck.py - weft-fsck says what is wrong, saves what is left, and its exit codes mean it.
# Called by: meson test (suite stress), as: fsck.py WEFT_FSCK MAKE_STORE CASE
# May touch: a temporary folder. Never: waits without a deadline.
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

fsck, make, case = sys.argv[1:4]
ENTRIES = 500


def run(*words, code=None):
    done = subprocess.run([fsck, *words], capture_output=True, text=True, timeout=100, check=False)
    sys.stdout.write(f"$ weft-fsck {' '.join(words)}\n{done.stdout}{done.stderr}({done.returncode})\n")
    if code is not None:
        assert done.returncode == code, (words, done.returncode, code)
    return done


def store(path, *words):
    subprocess.run([make, path, str(ENTRIES), *words], check=True, timeout=100)
    return path


def last_line(done):
    return done.stdout.splitlines()[-1]


def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(int(os.path.getsize(path) * at))
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 0x10]))


def largest(path, pattern):
    return max(glob.glob(os.path.join(path, pattern)), key=os.path.getsize)


def tree_of(path):
    """Name and bytes of everything below, to see that nothing was changed."""
    return {leaf: open(os.path.join(path, leaf), "rb").read() for leaf in sorted(os.listdir(path))}


def expect_store(path, entries, faults=0):
    done = run(path, "--signatures", code=7 if faults else 0)
    assert last_line(done) == f"fsck: {entries} entries in 1 trees, {faults} faults", done.stdout


def clean(place):
    expect_store(store(place + "/s"), ENTRIES)
    report = json.loads(run("--json", place + "/s", code=0).stdout)
    assert report["verdict"] == "clean" and report["entries"] == ENTRIES and report["list"] == []


def codes(place):
    store(place + "/s")
    run(code=2)
    run("--no-such-word", place + "/s", code=2)
    run(place + "/s", place + "/s", code=2)
    run("--salvage", place + "/a", "--restore", place + "/b", place + "/s", code=2)
    run(place + "/nowhere", code=3)
    os.mkdir(place + "/other")
    open(place + "/other/file", "w").close()
    run(place + "/other", code=3)
    store(place + "/begun", "begun")
    run(place + "/begun", code=3)
    store(place + "/newer", "newer")
    run(place + "/newer", code=8)
    run("--salvage", place + "/n", place + "/newer", code=8)
    assert sorted(os.listdir(place)) == ["begun", "newer", "other", "s"], os.listdir(place)


def locked(place):
    holder = subprocess.Popen([make, place + "/s", str(ENTRIES), "hold"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"open\n"
        for words in ((), ("--salvage", place + "/n"), ("--checkpoint", place + "/n"), ("--restore", place + "/n")):
            done = run(*words, place + "/s", code=6)
            assert str(holder.pid) in done.stderr, "the holder is named"
        run("--live", place + "/s", code=0)
        assert os.listdir(place) == ["s"]
    finally:
        holder.stdin.close()
        holder.wait(timeout=60)


def damaged(place):
    path = store(place + "/s")
    flip(largest(path, "*.sst"), 0.4)
    before = tree_of(path)
    done = run(path, code=7)
    match = re.fullmatch(r"fsck: (\d+) entries in 1 trees, ([1-9]\d*) faults", last_line(done))
    assert match, done.stdout
    report = json.loads(run("--json", path, code=7).stdout)
    assert report["verdict"] == "damaged" and report["faults"] == int(match[2]) and report["list"]
    saved = run("--salvage", place + "/n", path, code=7)
    kept = int(re.search(r"kept (\d+) entries in 1 trees", last_line(saved))[1])
    assert 0 < kept < ENTRIES
    expect_store(place + "/n", kept)
    assert tree_of(path) == before, "the old store is as it was"
    assert sorted(os.listdir(place)) == ["n", "s"]


def unopenable(place):
    path = store(place + "/s")
    flip(largest(path, "MANIFEST-*"), 0.5)
    before = tree_of(path)
    run(path, code=7)
    run("--json", path, code=7)
    run("--salvage", place + "/n", path, code=0)
    expect_store(place + "/n", ENTRIES)
    os.unlink(path + "/CURRENT")
    run(path, code=7)
    run("--salvage", place + "/n/", path, code=1)  # it is there
    run("--salvage", place + "/m/", path, code=0)
    expect_store(place + "/m", ENTRIES)
    del before["CURRENT"]
    assert tree_of(path) == before, "the old store is as it was"
    assert sorted(os.listdir(place)) == ["m", "n", "s"]


def logs(place):
    """Entries that only a damaged record had, and that nothing stands on."""
    path = store(place + "/s", "killed")
    log = largest(path, "*.log")
    with open(log, "rb") as file:
        at = file.read().find(bytes([200]) * 120)  # of the payload of entry 200
    assert at > 0
    with open(log, "r+b") as file:
        file.seek(at)
        file.write(bytes([201]))
    run(path, code=7)
    saved = run("--salvage", place + "/n", path, code=7)
    kept = int(re.search(r"kept (\d+) entries in 1 trees", last_line(saved))[1])
    assert 0 < ENTRIES - kept < 3 and "0 without parents, 0 ranges unreadable" in saved.stdout
    assert "may be lost" in saved.stdout
    expect_store(place + "/n", kept)
    report = json.loads(run("--json", "--salvage", place + "/m", path, code=7).stdout)
    assert report["verdict"] == "lost" and report["logs"] == "damaged", report


def lost(place):
    """Files that are gone."""
    path = store(place + "/s")
    os.unlink(largest(path, "MANIFEST-*"))
    run(path, code=7)
    report = json.loads(run("--json", "--salvage", place + "/n", path, code=0).stdout)
    assert report["verdict"] == "kept" and report["logs"] == "whole", report
    expect_store(place + "/n", ENTRIES)
    for table in glob.glob(path + "/*.sst"):
        os.unlink(table)
    done = run("--salvage", place + "/m", path, code=7)
    assert "nothing can be saved" in done.stderr, "an empty store is no answer"
    assert sorted(os.listdir(place)) == ["n", "s"]


def indexes(place):
    for family in ("trie", "sketch", "sub", "dom"):
        path = store(f"{place}/{family}", family)
        done = run(path, code=7)
        assert re.search(rf"^index {family} tree=1 ", done.stdout, re.MULTILINE), done.stdout
        run("--salvage", path + ".new", path, code=0)
        expect_store(path + ".new", ENTRIES)


def joins(place):
    path = store(place + "/s", "joins")
    done = run(path, code=7)
    assert re.search(r"^record peer key=87ab0+: a request to join, damaged$", done.stdout, re.MULTILINE), done.stdout
    assert last_line(done) == f"fsck: {ENTRIES} entries in 1 trees, 1 faults", done.stdout
    report = json.loads(run("--json", path, code=7).stdout)
    assert report["records"] == 1 and report["faults"] == 1 and len(report["list"]) == 1, report


def peers(place):
    path = store(place + "/s", "peers")
    done = run(path, code=7)
    for line in ("81ab0+: a peer", "82cd0+: a tree that is shared with a peer"):
        assert re.search(rf"^record peer key={line}, damaged$", done.stdout, re.MULTILINE), done.stdout
    report = json.loads(run("--json", path, code=7).stdout)
    assert report["records"] == 2 and report["faults"] == 2, report


def older(place):
    """A store that the last version of format 2 has left."""
    path = place + "/s"
    shutil.copytree(os.path.join(os.environ["WEFT_TEST_DATA"], "store_v2"), path)
    before = tree_of(path)
    done = run(path, "--signatures", code=0)
    assert last_line(done) == "fsck: 200 entries in 3 trees, 0 faults", done.stdout
    assert "format 2" in done.stderr, done.stderr
    run("--salvage", place + "/n", path, code=0)
    assert tree_of(path) == before, "the old store is as it was"
    done = run(place + "/n", code=0)
    assert last_line(done) == "fsck: 200 entries in 3 trees, 0 faults", done.stdout
    assert "format 2" not in done.stderr, done.stderr


def copies(place):
    path = store(place + "/s")
    with open(path + "/device.key", "w", encoding="ascii") as file:
        file.write("weft-key-1 ed25519 " + "11" * 32 + "\n")
    os.chmod(path + "/device.key", 0o600)
    run("--checkpoint", place + "/c", path, code=0)
    assert not os.path.exists(place + "/c/device.key"), "a copy has no secret"
    run("--checkpoint", place + "/c", path, code=1)  # it is there
    run("--restore", place + "/r", "--key", path + "/device.key", place + "/c", code=0)
    assert os.stat(place + "/r/device.key").st_mode & 0o777 == 0o600
    run("--restore", place + "/q", "--key", place + "/nowhere", place + "/c", code=1)
    run("--salvage", place + "/n", path, code=0)
    assert tree_of(place + "/n")["device.key"] == tree_of(path)["device.key"]
    shutil.rmtree(path)  # what is shared with it stays
    for leaf in "crn":
        expect_store(f"{place}/{leaf}", ENTRIES)
    assert sorted(os.listdir(place)) == ["c", "n", "r"]


def lmdb(place):
    """The same words for a store of LMDB, as far as they make sense there."""
    path = store(place + "/s", "lmdb")
    expect_store(path, ENTRIES)
    run("--checkpoint", place + "/c", path, code=0)
    run("--restore", place + "/r", place + "/c", code=0)
    run("--salvage", place + "/n", path, code=0)
    for leaf in "crn":
        expect_store(f"{place}/{leaf}", ENTRIES)
        assert os.path.exists(f"{place}/{leaf}/data.mdb"), "the engine stays"
    store(place + "/newer", "newer", "lmdb")
    run(place + "/newer", code=8)


def lmdb_locked(place):
    holder = subprocess.Popen([make, place + "/s", str(ENTRIES), "hold", "lmdb"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"open\n"
        for words in ((), ("--salvage", place + "/n"), ("--checkpoint", place + "/n"), ("--restore", place + "/n")):
            done = run(*words, place + "/s", code=6)
            assert str(holder.pid) in done.stderr, "the holder is named"
        run("--live", place + "/s", code=0)
        assert os.listdir(place) == ["s"]
    finally:
        holder.stdin.close()
        holder.wait(timeout=60)


def lmdb_damaged(place):
    path = store(place + "/s", "lmdb")
    data = path + "/data.mdb"
    with open(data, "rb") as file:
        whole = file.read()
    body = bytes([200]) * 128  # the payload of entry 200, wherever pages have it
    assert body in whole
    with open(data, "wb") as file:
        file.write(whole.replace(body, bytes([201]) + body[1:]))
    before = tree_of(path)
    done = run(path, code=7)
    assert "bytes" in done.stdout, "the body does not hash to its id"
    saved = run("--salvage", place + "/n", path, code=7)
    kept = int(re.search(r"kept (\d+) entries in 1 trees", last_line(saved))[1])
    assert 0 < kept < ENTRIES
    expect_store(place + "/n", kept)
    assert tree_of(path)["data.mdb"] == before["data.mdb"], "the old store is as it was"
    with open(data, "r+b") as file:
        file.write(bytes(8192))  # both roots
    run(path, code=7)
    done = run("--salvage", place + "/m", path, code=7)
    assert "peers have what it held" in done.stderr, "no repair is pretended"
    os.unlink(data)
    done = run("--salvage", place + "/m", path, code=7)
    assert "peers have what it held" in done.stderr, "nor is another engine begun"
    assert sorted(os.listdir(place)) == ["n", "s"]


with tempfile.TemporaryDirectory(prefix="weft-fsck-test.") as folder:
    globals()[case](folder)
print("ok")
