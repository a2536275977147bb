#!/usr/bin/env python3
"""What scapy makes of packets: reads one packet a line in hex (from the outermost IPv6 header on), writes one JSON object a line:

{"layers": [names], "addresses": [[source, destination], …], "checksumOk": bool, "fields": {…}, "options": [[name, {…}], …]}

`fields` and `options` are those of the Mobility Header or ICMPv6 message, bytes in hex. The checksum is verified here over a
pseudo-header built from what scapy decoded: scapy's own in6_chksum overlooks a Home Address option that has padding before it.

    /usr/bin/python3 test/vectors/scapy_decode.py < packets.hex      (Debian package python3-scapy)
"""
import json
import logging
import socket
import struct
import sys

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.layers.inet6 import HAO, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrRouting, _ICMPv6, _MobilityHeader  # noqa: E402
from scapy.packet import NoPayload, Padding  # noqa: E402


def checksum_ok(source, destination, protocol, data):
    pseudo = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, destination) + struct.pack("!II", len(data), protocol)
    padded = pseudo + data + b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total == 0xffff


def plain(value):
    if isinstance(value, bytes):
        return value.hex()
    return value if isinstance(value, (int, str, type(None))) else str(value)


def fields(layer):
    return {name: plain(value) for name, value in layer.fields.items() if name not in ("options", "autopad")}


def decode(raw):
    layers, addresses = [], []
    source = destination = None
    message, ok, offset = None, False, 0
    layer = IPv6(raw)
    while not isinstance(layer, (NoPayload, Padding)):
        layers.append(type(layer).__name__)
        if isinstance(layer, IPv6):
            source, destination = layer.src, layer.dst
            addresses.append([source, destination])
        elif isinstance(layer, IPv6ExtHdrDestOpt):
            source = next((o.hoa for o in layer.options if isinstance(o, HAO)), source)
        elif isinstance(layer, IPv6ExtHdrRouting) and layer.type == 2 and layer.segleft == 1:
            destination = layer.addresses[0]
        elif isinstance(layer, (_MobilityHeader, _ICMPv6)):
            message = layer
            ok = checksum_ok(source, destination, 135 if isinstance(layer, _MobilityHeader) else 58, raw[offset:])
            break
        offset += len(layer) - len(layer.payload)
        layer = layer.payload
    options = [[type(o).__name__, fields(o)] for o in getattr(message, "options", [])]
    return {"layers": layers, "addresses": addresses, "checksumOk": ok, "fields": fields(message) if message else {}, "options": options}


if __name__ == "__main__":
    for line in sys.stdin:
        if line.strip():
            print(json.dumps(decode(bytes.fromhex(line.strip()))))
