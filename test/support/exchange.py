#!/usr/bin/env python3
"""Sends packets that scapy builds and says what came back. One line of JSON for each line on stdin: a list of answers.

usage: exchange.py DEVICE OWN-ADDRESS
A line is Python with scapy's IPv6 names that gives a packet or a list of them; WAIT may be set before it: "wait=2; IPv6(…)".
Answers are Mobility Headers and ICMPv6 errors addressed to us: hex from the IPv6 header on, and how scapy reads them.
"""
import json
import sys
import time

from scapy.config import conf
from scapy.layers.inet import TCP, UDP  # noqa: F401
from scapy.layers.inet6 import *  # noqa: F401,F403
from scapy.layers.inet6 import IPv6, _ICMPv6Error, _MobilityHeader
from scapy.packet import Raw
from scapy.sendrecv import AsyncSniffer

device, own = sys.argv[1], sys.argv[2]
conf.iface = device


def read(packet):
    error = packet.getlayer(_ICMPv6Error) if packet.haslayer(_ICMPv6Error) else None
    for layer in packet.layers():
        if issubclass(layer, _MobilityHeader):
            found = packet[layer]
            return {"mh": found.mhtype, "status": getattr(found, "status", None), "ha": getattr(found, "ha", None)}
        if layer.__name__ in ("ICMPv6ParamProblem", "ICMPv6DestUnreach"):
            found = packet[layer]
            return {"icmp": found.type, "code": found.code, "ptr": getattr(found, "ptr", None)}
    return None if error is None else {"icmp": error.type}


def answer(packet):
    ip = packet[IPv6]
    whole = bytes(ip)[: 40 + ip.plen]
    return {"hex": whole.hex(), "src": ip.src, "length": len(whole), **(read(ip) or {})}


def wanted(packet):
    return IPv6 in packet and packet[IPv6].dst == own and packet[IPv6].src != own and read(packet[IPv6]) is not None


socket = conf.L3socket6(iface=device)
print("ready", flush=True)
for line in sys.stdin:
    wait = 0.4
    if line.startswith("wait="):
        wait, line = float(line[5:].split(";", 1)[0]), line.split(";", 1)[1].strip()
    packets = eval(line)
    packets = packets if isinstance(packets, list) else [packets]
    started = []
    sniffer = AsyncSniffer(iface=device, filter="ip6", store=True, lfilter=wanted, started_callback=lambda: started.append(True))
    sniffer.start()
    while not started:
        time.sleep(0.01)
    for packet in packets:
        socket.send(packet)
    time.sleep(wait)
    print(json.dumps([answer(packet) for packet in sniffer.stop()]), flush=True)
