#!/usr/bin/env python3
"""Joins two devices at the link layer as a virtual machine's host would: packet sockets that carry a virtio_net_hdr. usage: forward.py A B"""
import select
import socket
import sys

SOL_PACKET, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 263, 15, 23
ends = []
for name in sys.argv[1:3]:
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    end.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    end.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    end.setsockopt(socket.SOL_SOCKET, 33, 32 << 20)
    end.bind((name, 0))
    ends.append(end)
other = {ends[0]: ends[1], ends[1]: ends[0]}
print("forwarding", flush=True)
large = 0
while True:
    for end in select.select(ends, [], [])[0]:
        frame = end.recv(70000)
        if len(frame) > 2000 and large < 3:
            large += 1
            print("large", len(frame), flush=True)
        try:
            other[end].send(frame)
        except OSError as error:
            print("lost", len(frame), error, flush=True)
