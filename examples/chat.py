#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# chat.py - two people in a room of examples/chat.c: they hear each other, are told to end, come back,
# and have what was said while they were away.
# Called by: meson test (suite examples), as: chat.py PROGRAM
# May touch: a temporary folder, processes of its own, the loopback interface.
import os
import random
import re
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

program, folder, limit = sys.argv[1], tempfile.mkdtemp(), 60


def free_address():
    """Below the ports that the system gives to whoever dials, so that nobody takes it while its owner is away."""
    for port in random.sample(range(10000, 32000), 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return f"tcp:127.0.0.1:{port}"
            except OSError:
                continue
    raise SystemExit("there is no free port")


class Person:
    def __init__(self, name, listen, ticket=()):
        self.process = subprocess.Popen([program, os.path.join(folder, name), listen, *ticket], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1)
        self.heard = ""
        self.ticket = self.hears(r"(weft:\S+)\n")[1]
        self.address = re.search(r"pr=(tcp:\S+)", self.ticket)[1]

    def says(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hears(self, pattern):
        """Waits for it; what came up to its end is used up."""
        end = time.monotonic() + limit
        with selectors.DefaultSelector() as ready:
            ready.register(self.process.stdout, selectors.EVENT_READ)
            while True:
                found = re.search(pattern, self.heard)
                if found:
                    self.heard = self.heard[found.end():]
                    return found
                left = end - time.monotonic()
                if left <= 0 or not ready.select(left):
                    raise SystemExit(f"{pattern!r} did not come; there is {self.heard!r}")
                more = os.read(self.process.stdout.fileno(), 65536).decode()
                if not more:
                    raise SystemExit(f"it ended without {pattern!r}; there is {self.heard!r}")
                self.heard += more

    def ends(self, how, last):
        self.process.send_signal(how)
        self.hears(last)
        if self.process.wait(limit) != 0:
            raise SystemExit(f"it ended with {self.process.returncode}")


people = []
try:
    ada = Person("ada", free_address())
    people.append(ada)
    bob = Person("bob", free_address(), [ada.ticket])
    people.append(bob)
    ada.says("hello")
    bob.hears(r"[0-9a-f]{4}: hello\n")
    bob.says("hello \x1b[1m too")
    ada.hears(r"[0-9a-f]{4}: hello \?\[1m too\n")
    ada.says("that was all")
    ada.hears(": that was all\n")  # it is durable
    ada.ends(signal.SIGTERM, "everybody has everything\n")
    bob.hears(": that was all\n")
    bob.says("are you there?")
    bob.hears(": are you there\\?\n")
    bob.ends(signal.SIGINT, "1 will hear the rest later\n")
    ada = Person("ada", ada.address)
    people.append(ada)
    bob = Person("bob", bob.address)
    people.append(bob)
    ada.hears(": are you there\\?\n")
    bob.process.stdin.close()  # the end of the input ends it, too
    bob.hears("everybody has everything\n")
    if bob.process.wait(limit) != 0:
        raise SystemExit("the end of the input is no failure")
    ada.ends(signal.SIGTERM, "")
    print("all was heard")
finally:
    for person in people:
        person.process.kill()
        person.process.wait()
    shutil.rmtree(folder)
