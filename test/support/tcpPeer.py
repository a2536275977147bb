#!/usr/bin/env python3
"""A TCP (and UDP) peer that is none of our code.

serve ADDRESS PORT            accepts; each connection starts with one line:
    download N                N bytes of the pattern go out, then the end
    upload                    reads to the end, answers "<bytes> <sha256>"
    echo                      sends everything back
fetch ADDRESS PORT N [SOURCE] downloads N bytes, prints "<bytes> <sha256>"
put ADDRESS PORT N [SOURCE]   uploads N bytes, prints the server's answer
talk ADDRESS PORT             connects, then: each line on stdin goes out, each line that comes in is printed
hear ADDRESS PORT             prints each UDP datagram that comes in
tell ADDRESS PORT WORD…       sends each word as a UDP datagram
pattern N                     prints "<bytes> <sha256>" of the pattern
"""
import hashlib
import socket
import sys
import threading

BLOCK = bytes(range(251)) * 261


def pattern(count):
    sent = 0
    while sent < count:
        part = BLOCK[: min(len(BLOCK), count - sent)]
        yield part
        sent += len(part)


def digest(parts):
    total, sha = 0, hashlib.sha256()
    for part in parts:
        total += len(part)
        sha.update(part)
    return f"{total} {sha.hexdigest()}"


def received(sock):
    while True:
        part = sock.recv(1 << 20)
        if not part:
            return
        yield part


def handle(sock):
    with sock:
        line = b""
        while not line.endswith(b"\n"):
            byte = sock.recv(1)
            if not byte:
                return
            line += byte
        words = line.decode().split()
        if words[0] == "download":
            for part in pattern(int(words[1])):
                sock.sendall(part)
        elif words[0] == "upload":
            sock.sendall(digest(received(sock)).encode() + b"\n")
        elif words[0] == "echo":
            for part in received(sock):
                sock.sendall(part)


def serve(address, port):
    listener = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen(64)
    print("listening", flush=True)
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=handle, args=(sock,), daemon=True).start()


def connect(address, port, *source):
    return socket.create_connection((address, port), timeout=30, source_address=(source[0], 0) if source else None)


def talk(address, port):
    sock = connect(address, port)
    sock.settimeout(None)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(b"echo\n")
    print("connected", flush=True)

    def show():
        for part in received(sock):
            sys.stdout.write(part.decode())
            sys.stdout.flush()
        print("closed", flush=True)

    reader = threading.Thread(target=show, daemon=True)
    reader.start()
    try:
        for line in sys.stdin:
            sock.sendall(line.encode())
        sock.shutdown(socket.SHUT_WR)
    except OSError as error:
        print(f"broken {error}", flush=True)
    reader.join(10)


def hear(address, port):
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.bind((address, port))
    print("listening", flush=True)
    while True:
        print(sock.recv(2000).decode(), flush=True)


def tell(address, port, words):
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    for word in words:
        sock.sendto(word.encode(), (address, port))


def main():
    mode, args = sys.argv[1], sys.argv[2:]
    if mode == "serve":
        serve(args[0], int(args[1]))
    elif mode == "fetch":
        sock = connect(args[0], int(args[1]), *args[3:])
        sock.sendall(f"download {args[2]}\n".encode())
        print(digest(received(sock)))
    elif mode == "put":
        sock = connect(args[0], int(args[1]), *args[3:])
        sock.sendall(b"upload\n")
        for part in pattern(int(args[2])):
            sock.sendall(part)
        sock.shutdown(socket.SHUT_WR)
        print(b"".join(received(sock)).decode().strip())
    elif mode == "talk":
        talk(args[0], int(args[1]))
    elif mode == "hear":
        hear(args[0], int(args[1]))
    elif mode == "tell":
        tell(args[0], int(args[1]), args[2:])
    elif mode == "pattern":
        print(digest(pattern(int(args[0]))))


main()
