"""A small Internet in a network namespace: a name server on port 53 of
127.0.0.1, a dead one on 127.0.0.9, and TCP servers. For a dialer started
there:

    unshare -mn sh -c 'python3 names.py FOLDER ADDRESS:PORT... & exec "$@"'

-ADDRESS:PORT is a server that answers no SYN.

FOLDER/zone is JSON, read at each query: {"a.test": ["11.0.0.1", "2606::1"],
"b.test": "silent", "c.test": "servfail"}; others do not exist. FOLDER/asked
gets a line for each query. Ends with its parent.
"""
import ipaddress
import json
import os
import select
import socket
import struct
import sys
from pathlib import Path

KINDS = {1: 4, 28: 6}


def question(packet):
    labels, at = [], 12
    while packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode())
        at += packet[at] + 1
    return ".".join(labels), struct.unpack(">H", packet[at + 1:at + 3])[0], at


def reply(packet, zone):
    """The answer, or None for silence."""
    name, kind, at = question(packet)
    says = zone.get(name.lower())
    if says == "silent":
        return None
    code = 2 if says == "servfail" else 3 if says is None else 0
    found = [ipaddress.ip_address(t).packed for t in says or []
             if not code and ipaddress.ip_address(t).version
             == KINDS.get(kind)]
    head = packet[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, len(found),
                                    0, 0)
    return head + packet[12:at + 5] + b"".join(
        b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 0, len(a)) + a
        for a in found)


def server(word, backlog=64):
    host, port = word.rsplit(":", 1)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host.strip("[]"), int(port)), family=family,
                                backlog=backlog)


def fill(s):
    """Leave no room in its queue: the kernel then drops each SYN."""
    kept = []
    for _ in range(8):
        kept.append(socket.socket(s.family))
        kept[-1].setblocking(False)
        kept[-1].connect_ex(s.getsockname()[:2])
    return kept


def main(folder, *words):
    parent = os.getppid()
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 53))
    dead = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    dead.bind(("127.0.0.9", 53))
    hung = [server(w[1:], 0) for w in words if w[0] == "-"]
    kept = [fill(s) for s in hung]
    listening = [server(w) for w in words if w[0] != "-"]
    asked = open(folder / "asked", "w", buffering=1)
    (folder / "up").touch()
    while os.getppid() == parent:
        for s in select.select([udp, *listening], [], [], 0.5)[0]:
            if s is not udp:
                kept.append(s.accept()[0])
                continue
            packet, peer = udp.recvfrom(512)
            asked.write(question(packet)[0] + "\n")
            back = reply(packet, json.loads((folder / "zone").read_text()))
            if back:
                udp.sendto(back, peer)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
