#!/usr/bin/env python3
"""Sends packets that scapy builds. For each line on stdin: the ICMPv6 errors that came back within a short while, as one line of JSON.

usage: inject.py DEVICE     a line is Python with scapy's IPv6 names, e.g. IPv6(dst="::1")/UDP(dport=9), or Ether(dst="…")/IPv6(…)
"""
import json
import sys
import time

from scapy.config import conf
from scapy.layers.inet import TCP, UDP  # noqa: F401
from scapy.layers.inet6 import *  # noqa: F401,F403
from scapy.packet import Raw  # noqa: F401
from scapy.layers.l2 import Ether
from scapy.sendrecv import AsyncSniffer, send, sendp

device = sys.argv[1]
conf.iface = device
print("ready", flush=True)
for line in sys.stdin:
    packet = eval(line)
    started = []
    sniffer = AsyncSniffer(iface=device, filter="icmp6 and ip6[40] < 5", store=True, started_callback=lambda: started.append(True))
    sniffer.start()
    while not started:
        time.sleep(0.01)
    (sendp if isinstance(packet, Ether) else send)(packet, iface=device, verbose=False)
    time.sleep(0.3)
    print(json.dumps([answer.summary() for answer in sniffer.stop()]), flush=True)
