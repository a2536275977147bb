#!/usr/bin/env python3
"""Sends a numbered datagram every 20 ms until stdin ends, then waits for answers under way and prints what became of them, as JSON.

usage: datagramClient.py udp|ping ADDRESS PORT
"""
import json
import os
import select
import socket
import struct
import sys
import time

kind, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
if kind == "udp":
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.connect((address, port))
else:
    sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    # ICMP6_FILTER: only echo replies.
    sock.setsockopt(socket.IPPROTO_ICMPV6, 1, struct.pack("=8I", *[0xFFFFFFFF if i != 4 else 0xFFFFFFFF & ~(1 << 1) for i in range(8)]))
    sock.connect((address, 0))
sock.setblocking(False)
mark = os.getpid() & 0xFFFF
answers = {}
sent = wrong = 0


def send(number):
    payload = f"datagram {number}".encode()
    sock.send(payload if kind == "udp" else struct.pack("!BBHHH", 128, 0, 0, mark, number) + payload)


def take():
    global wrong
    try:
        data = sock.recv(2000)
    except OSError:
        return
    if kind == "ping":
        if struct.unpack("!H", data[4:6])[0] != mark:
            return
        data = data[8:]
    word, _, number = data.decode().partition(" ")
    if word != "datagram" or int(number) >= sent:
        wrong += 1
    answers[number] = answers.get(number, 0) + 1


ended = None
due = time.monotonic()
while ended is None or (len(answers) < sent and time.monotonic() < ended + 3):
    now = time.monotonic()
    if ended is None and now >= due:
        send(sent)
        sent += 1
        due = max(due + 0.02, now)
    readable, _, _ = select.select([sock] + ([sys.stdin] if ended is None else []), [], [], 0.02 if ended else max(0, due - now))
    if sock in readable:
        take()
    if sys.stdin in readable and not sys.stdin.readline():
        ended = time.monotonic()
print(json.dumps({"sent": sent, "answered": len(answers), "doubled": sum(n - 1 for n in answers.values()), "wrong": wrong, "missing": [n for n in range(sent) if str(n) not in answers]}))
