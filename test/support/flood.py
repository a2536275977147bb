#!/usr/bin/env python3
"""A hostile sender: packets that scapy builds, some of them cut or spoilt at random, from sources of its own choice.

usage: flood.py COUNT SEED; then one Python expression on stdin, with scapy's IPv6 names and `r` (a random.Random), which gives a packet each time it
is evaluated. Prints how many left, and their bytes from the IPv6 header on.
"""
import random
import socket
import sys

from scapy.layers.inet import TCP, UDP  # noqa: F401
from scapy.layers.inet6 import *  # noqa: F401,F403
from scapy.packet import Raw  # noqa: F401

count, r = int(sys.argv[1]), random.Random(int(sys.argv[2]))
anybody = lambda: f"2001:db8:dead::{r.randrange(1, 65535):x}"  # noqa: E731
source = compile(sys.stdin.read(), "stdin", "eval")
out = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
out.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
kept = [eval(source) for _ in range(min(count, 300))]
sent = size = 0
for i in range(count):
    packet = kept[i % len(kept)]
    data = bytearray(bytes(packet))
    if i >= len(kept) and r.random() < 0.5:
        data[r.randrange(40, len(data))] ^= 1 << r.randrange(8)
    if i >= len(kept) and r.random() < 0.2:
        data = data[: r.randrange(41, len(data) + 1)]
        data[4:6] = (len(data) - 40).to_bytes(2, "big")
    try:
        out.sendto(bytes(data), (packet.dst, 0))
        sent, size = sent + 1, size + len(data)
    except OSError:
        pass
print(sent, size, flush=True)
