#!/usr/bin/env python3
"""Sends one packet that scapy builds, and prints what comes back as ICMPv6 errors within a short while, one summary a line.

usage: inject.py DEVICE EXPRESSION     EXPRESSION is Python with scapy's IPv6 names, e.g. IPv6(dst="::1")/UDP(dport=9)
"""
import sys
import time

from scapy.config import conf
from scapy.layers.inet import TCP, UDP  # noqa: F401
from scapy.layers.inet6 import *  # noqa: F401,F403
from scapy.packet import Raw  # noqa: F401
from scapy.sendrecv import AsyncSniffer, send

device, expression = sys.argv[1:]
conf.iface = device
packet = eval(expression)
started = []
sniffer = AsyncSniffer(iface=device, filter="icmp6 and ip6[40] < 5", store=True, started_callback=lambda: started.append(True))
sniffer.start()
while not started:
    time.sleep(0.01)
send(packet, iface=device, verbose=False)
time.sleep(0.3)
for answer in sniffer.stop():
    print(answer.summary())
