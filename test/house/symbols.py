#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# symbols.py - what an archive of ours defines, and what each of its objects asks the machine for.
# Called by: meson test (suite house), as: symbols.py NM libweft.a, or NM libweft-http.a BELOW...
# May touch: the archives, reading. Never: the sources.
"""Three claims: the archive is complete and not thin; it defines weft_* and wf_* only; nothing but the
objects named in EXCEPTIONS asks for a thread, a clock, a socket, a file or the heap."""
import re
import subprocess
import sys

# Pure functions of libc: no state outside their arguments, no system call, no heap. (glibc's qsort may
# borrow heap for a large array, but sorts in place when there is none, so it neither fails nor differs.)
PURE = r"""
mem(cpy|move|set|cmp|chr|rchr|mem|pcpy|ccpy) str(len|nlen|cmp|ncmp|chr|chrnul|rchr|str|spn|cspn|pbrk|casecmp|ncasecmp)
str(cpy|ncpy|cat|ncat|pcpy|sep|tok_r|error_r) (__xpg_)?strerror_r
(__isoc\d+_)?str(tol|toul|toll|toull|toumax|toimax|tod) (v?snprintf|(__isoc\d+_)?v?sscanf) bsearch qsort
__ctype_b_loc __ctype_tolower_loc __ctype_toupper_loc tolower toupper explicit_bzero
__errno_location __stack_chk_fail __(mem|str)\w+_chk __v?snprintf_chk __explicit_bzero_chk _GLOBAL_OFFSET_TABLE_
(log|log2|exp|exp2|pow|sqrt|floor|ceil|ldexp|fabs|fmin|fmax|round|lround|llround)f?
inet_(ntop|pton) abort __tls_get_addr
""".split()

# msgpack-c as a pure encoder; its unpacker and its growing buffers use the heap behind our back.
MSGPACK = ["msgpack_pack_\\w+", "msgpack_version\\w*"]

# object -> (what it may ask for beyond PURE and MSGPACK, why)
SODIUM = r"sodium_\w+ crypto_\w+ randombytes_buf"
EXCEPTIONS = {
    "src/actor/port_machine.c": (
        r"pthread_\w+ sched_\w+ __sched_\w+ sig(fill|empty|add|del)set sysconf syscall clock_gettime getrandom "
        r"epoll_\w+ eventfd read write close __poll_chk poll ppoll strerror",
        "binds actor/port.h to the machine: threads, clock, chance, waiting"),
    "src/actor/fork.c": ("pthread_atfork __register_atfork pthread_once __dso_handle", "counts the forks"),
    "src/actor/signals.c": ("sigaction sigemptyset raise write", "looks at a fatal signal before it takes its course"),
    "src/actor/alloc.c": ("malloc calloc realloc posix_memalign free", "is the one way to memory"),
    "src/actor/log.c": ("stderr fprintf __fprintf_chk", "its default sink is standard error"),
    "src/actor/lock.c": (r"pthread_mutex_\w+ pthread_rwlock_\w+", "is the one wrapper of mutexes"),
    "src/transport/net_tcp.c": (
        "socket bind listen accept4 connect shutdown send(msg)? recv(msg)? close [gs]etsockopt get(sock|peer)name "
        "(get|free)addrinfo getnameinfo gai_strerror strerror fcntl(64)?", "binds transport/net.h to sockets"),
    "src/transport/net_tcp_reach.c": (
        "(get|free)ifaddrs getnameinfo", "asks the machine for its interfaces, and nobody else"),
    "src/http/http_server.c": (r"MHD_\w+", "binds the network over HTTP to libmicrohttpd"),
    "src/transport/noise.c": (SODIUM, "is the transport's one user of libsodium"),
    "src/store/crypto.c": (SODIUM, "is the store's one user of libsodium"),
    "src/store/kv_rocksdb.c": (r"rocksdb_\w+", "binds store/kv.h to RocksDB"),
    "src/store/kv_rocksdb_options.c": (r"rocksdb_\w+", "says how RocksDB keeps each family"),
    "src/store/kv_rocksdb_read.c": (r"rocksdb_\w+", "reads from RocksDB"),
    "src/store/kv_rocksdb_stats.c": (r"rocksdb_\w+", "asks RocksDB about itself"),
    "src/store/kv_rocksdb_write.c": (r"rocksdb_\w+", "writes to RocksDB"),
    "src/store/kv_lmdb.c": (r"mdb_\w+", "binds store/kv.h to LMDB"),
    "src/store/kv_lmdb_read.c": (r"mdb_\w+", "reads through LMDB"),
    "src/store/kv_lmdb_dir.c": (
        "open(64)? close fcntl(64)? f?truncate(64)? pwrite(64)? posix_fallocate(64)? f?stat(64)? fchmod fsync getpid mkdir rename unlink "
        "strerror", "looks after the files of LMDB's database, and their lock"),
    "src/store/store_copy.c": (
        r"rocksdb_\w+ open(64)? read write close fsync link unlink rename rmdir opendir readdir(64)? closedir [fl]?stat(64)? strerror",
        "copies the folder of the database, and has RocksDB repair a copy"),
    "src/store/held_dirs.c": ("f?stat(64)? strerror", "tells directories by device and inode"),
    "src/store/renew_files.c": (
        "open(64)? close fcntl(64)? fopen(64)? fclose fread fwrite fflush ferror fileno fsync opendir readdir(64)? closedir rename strerror",
        "a damaged store and a new one change places in a directory; no database is open"),
    "src/store/store_dir.c": (
        "open(64)? write close fsync mkdir opendir readdir(64)? closedir dirfd fcntl(64)? f?stat(64|at|at64)? statvfs(64)? unlink pread(64)? "
        "strerror", "looks after the folder of the database: its lock, its mark, its free space"),
    "src/store/kv_rocksdb_logs.c": (
        "openat(64)? p(read|write)(64)? close opendir readdir(64)? closedir dirfd fstat(64)?",
        "looks at the database's logs before it does, and spares records of a copy"),
    "src/store/replay.c": (
        "open(64)? read close opendir readdir(64)? closedir dirfd fstatat(64)? readlinkat realpath",
        "asks the system how far this process has read the database's logs"),
    "src/store/kv_rocksdb_room.c": (
        "open(64)? openat(64)? close flock f?stat(64)? statvfs(64)? realpath", "sees that openings on one volume do not share their room"),
    "src/store/secret_file.c": (
        "open(64)? read write close [fl]?stat(64)? fsync fchmod ftruncate(64)? flock unlink rename renameat2 geteuid strerror",
        "reads and writes the files of keys"),
}

nm, archive, below = sys.argv[1], sys.argv[2], sys.argv[3:]  # below: what it is linked with
bad, foreign = [], {}


def source_of(member):
    """src_actor_mailbox.c.o -> src/actor/mailbox.c, src_weft.c.o -> src/weft.c"""
    return re.sub(r"^src_(?:(actor|store|transport|sync|http)_)?(.*)\.o$",
                  lambda m: "/".join(filter(None, ["src", m[1], m[2]])), member)


with open(archive, "rb") as file:
    if file.read(8) != b"!<arch>\n":
        sys.exit(f"{archive} is not a whole archive: it only names objects elsewhere")

defined, wanted, members = {}, [], set()
for line in subprocess.run([nm, "-A", "-g", archive], check=True, stdout=subprocess.PIPE).stdout.decode().splitlines():
    match = re.fullmatch(r".*?:([^:]+):(?:[0-9a-f]+)? *([A-Za-z]) (\S+)", line)
    if match is None:
        continue
    member, kind, name = match.groups()
    members.add(source_of(member))
    if kind in "Uw":
        wanted.append((source_of(member), name))
    else:
        if name in defined and kind in "TDBRC":
            bad.append(f"{name} is defined by {defined[name]} and by {source_of(member)}")
        defined[name] = source_of(member)

there = set(defined)
for other in below:
    lines = subprocess.run([nm, "-g", "--defined-only", other], check=True, stdout=subprocess.PIPE).stdout.decode()
    there.update(re.findall(r"^[0-9a-f]+ [A-Z] (\S+)$", lines, flags=re.M))

for name, source in sorted(defined.items()):
    # Probes (-Dusdt) find their place by a hidden weak mark of that name, the same in every program.
    if not re.match(r"(weft|wf)_", name) and name != "_.stapsdt.base":
        bad.append(f"{source} defines {name}: a global is weft_* or wf_*, everything else is static")

pure = re.compile("|".join(f"(?:{p})" for p in PURE + MSGPACK))
for source, name in wanted:
    if name in there or pure.fullmatch(name):
        continue
    if re.match(r"(weft|wf)_", name):
        bad.append(f"{source} calls {name}, which no object defines")
        continue
    allowed = EXCEPTIONS.get(source, ("", ""))[0].split()
    if not any(re.fullmatch(pattern, name) for pattern in allowed):
        foreign.setdefault(source, []).append(name)
for source, names in sorted(foreign.items()):
    bad.append(f"{source} asks for {' '.join(names)}: that goes through actor/port.h, transport/net.h, store/kv.h "
               "or actor/alloc.h (a pure function: add it to PURE in test/house/symbols.py)")

for source in sorted(s for s in set(EXCEPTIONS) - members if not below and not s.startswith("src/http/")):
    print(f"note: the exception for {source} has no object")
print(f"{len(members)} objects, {len(defined)} globals, {len(wanted)} undefined names looked at")
print("\n".join(bad))
sys.exit(1 if bad else 0)
