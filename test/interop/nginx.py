#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# nginx.py - weft's HTTP transport through a real nginx, as docs/http.md configures it.
# Called by: meson test (suite interop) and ./dev interop, as: nginx.py HTTP_NODES [ENTRIES [BYTES]]
# May touch: a temporary folder, ports of the loopback interface. Never: a system's nginx; installs nothing.
"""Starts http_nodes and an nginx of its own between its HTTP port and the node that dials; reloads nginx in
the middle, with old workers given a second. Speaks TAP; skips with a word where nginx is not installed."""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
NODES, ENTRIES, BYTES = sys.argv[1], *(sys.argv[2:4] + ["10000", "256"][len(sys.argv[2:4]):])

CONFIG = """
daemon on;
{user}
worker_processes 1;
worker_shutdown_timeout 1s;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{front};
{location}
    }}
}}
"""


def location(back):
    """The block that docs/http.md shows, with this port."""
    with open(os.path.join(HERE, "../../docs/http.md"), encoding="utf-8") as file:
        block = re.search(r"^```nginx\n(.*?)^```$", file.read(), flags=re.M | re.S)[1]
    return block.replace("127.0.0.1:8080", f"127.0.0.1:{back}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def skip(why):
    print(f"1..0 # SKIP {why}")
    sys.exit(0)


def run(nginx, folder):
    nodes = subprocess.Popen([NODES, ENTRIES, BYTES], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    master = None
    try:
        for line in nodes.stdout:
            if line.startswith("port "):
                front = free_port()
                with open(os.path.join(folder, "nginx.conf"), "w", encoding="utf-8") as file:
                    file.write(CONFIG.format(folder=folder, front=front, location=location(line.split()[1]),
                                             user="user root;" if os.geteuid() == 0 else ""))
                # As a daemon it returns when it listens.
                subprocess.run([nginx, "-p", folder, "-c", "nginx.conf", "-e", f"{folder}/error.log"], check=True,
                               stdout=sys.stderr, timeout=60)
                with open(os.path.join(folder, "pid"), encoding="utf-8") as file:
                    master = int(file.read())
                nodes.stdin.write(f"{front}\n")
            elif line.startswith("reload"):
                os.kill(master, signal.SIGHUP)
                nodes.stdin.write("reloaded\n")
            else:
                sys.stdout.write(line)
            nodes.stdin.flush()
            sys.stdout.flush()
        return nodes.wait(timeout=60)
    finally:
        if nodes.poll() is None:
            nodes.kill()
        if master is not None:
            os.kill(master, signal.SIGTERM)
        if os.path.exists(os.path.join(folder, "error.log")):
            with open(os.path.join(folder, "error.log"), encoding="utf-8", errors="replace") as file:
                sys.stderr.write("".join(line for line in file if "[notice]" not in line))


def main():
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if nginx is None:
        skip("nginx is not installed")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        return run(nginx, folder)


if __name__ == "__main__":
    sys.exit(main())
