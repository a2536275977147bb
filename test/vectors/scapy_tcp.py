#!/usr/bin/env python3
"""TCP segments as scapy sees them: reads one IPv6 packet a line in hex, writes one JSON object a line:

{"sequence": n, "flags": text, "payload": hex, "lengthsOk": bool, "checksumOk": bool}

    /usr/bin/python3 test/vectors/scapy_tcp.py < packets.hex      (Debian package python3-scapy)
"""
import json
import logging
import sys

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.layers.inet import TCP  # noqa: E402
from scapy.layers.inet6 import IPv6  # noqa: E402


def decode(raw):
    packet = IPv6(raw)
    tcp = packet[TCP]
    fresh = IPv6(raw)
    layer = fresh
    while isinstance(layer, IPv6):
        layer.plen = None
        layer = layer.payload
    del fresh[TCP].chksum
    rebuilt = IPv6(bytes(fresh))
    same_lengths = bytes(rebuilt)[:6] == raw[:6] and len(bytes(rebuilt)) == len(raw)
    return {
        "sequence": tcp.seq,
        "flags": str(tcp.flags),
        "payload": bytes(tcp.payload).hex(),
        "lengthsOk": same_lengths,
        "checksumOk": rebuilt[TCP].chksum == tcp.chksum,
    }


for line in sys.stdin:
    if line.strip():
        print(json.dumps(decode(bytes.fromhex(line.strip()))))
