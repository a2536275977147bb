#!/usr/bin/env python3
"""One UDP socket of the host's own stack, driven by lines on stdin; each is answered by one line.

usage: socketPeer.py ADDRESS PORT [SOURCE [SOURCEPORT]]     connects the socket (SOURCE: binds it first)

send N        sends N bytes of UDP payload, never fragmented: "sent", or the name of the error
receive S     waits up to S seconds: "N bytes", the name of the error, or "nothing"
mtu           what the kernel takes for the path MTU to the peer
"""
import errno
import socket
import sys

IPV6_MTU_DISCOVER, IPV6_MTU, IPV6_RECVERR, PMTUDISC_DO = 23, 24, 25, 2
sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_DO)
sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
if len(sys.argv) > 3:
    sock.bind((sys.argv[3], int(sys.argv[4]) if len(sys.argv) > 4 else 0))
sock.connect((sys.argv[1], int(sys.argv[2])))
print("ready", flush=True)


def obey(word, value):
    if word == "mtu":
        return str(sock.getsockopt(socket.IPPROTO_IPV6, IPV6_MTU))
    if word == "send":
        sock.send(bytes(int(value)))
        return "sent"
    sock.settimeout(float(value))
    return f"{len(sock.recv(70000))} bytes"


for line in sys.stdin:
    word, _, value = line.strip().partition(" ")
    try:
        print(obey(word, value), flush=True)
    except TimeoutError:
        print("nothing", flush=True)
    except OSError as error:
        print(errno.errorcode[error.errno], flush=True)
