#!/usr/bin/env python3
"""Builds test/vectors/mobility.json: one packet for every message and option of RFC 6275, RFC 4283 and RFC 4285.

The bytes come from scapy (padding, lengths and checksums are its own), the authenticators from Python's hmac: nothing here is shared
with the code under test. Beside each packet stands what it says, in the words of src-shared/protocol/wire/message.ts, with bytes as
{"hex": …} and 64-bit numbers as {"uint64": …}.

    /usr/bin/python3 test/vectors/make_vectors.py > test/vectors/mobility.json      (Debian package python3-scapy)
"""
import hashlib
import hmac
import json
import logging
import socket
import sys

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.layers.inet6 import (  # noqa: E402
    HAO, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrRouting, MIP6MH_BA, MIP6MH_BE, MIP6MH_BRR, MIP6MH_BU, MIP6MH_CoT, MIP6MH_CoTI, MIP6MH_HoT,
    MIP6MH_HoTI, MIP6OptAltCoA, MIP6OptBindingAuthData, MIP6OptBRAdvice, MIP6OptMNID, MIP6OptMsgAuth, MIP6OptNonceIndices,
    MIP6OptReplayProtection, MIP6OptUnknown)

X = "2001:db8:f::1"
HOME_AGENT = "2001:db8:f::ffff"
CLIENT = "2001:db8:1::10"
CARE_OF = "2001:db8:2::21"
OTHER_CARE_OF = "2001:db8:3::31"
COOKIE = bytes.fromhex("8cd17f54c8ab4bf2")
TOKEN = bytes.fromhex("8fa79127d07e4519")
KBM = bytes.fromhex("344b595a37448b14266b02e42670e88de20f6b49")
MN_HA_KEY = bytes(range(16))
MN_HA_SPI = 0x12345678
NAI = b"node@example.org"
# 2026-01-02T03:04:05.5Z as an NTP timestamp.
TIMESTAMP = ((1767323045 + 2208988800) << 32) | 0x80000000

CHECKSUM_AT = 4


def address(text):
    return socket.inet_pton(socket.AF_INET6, text)


def hexed(value):
    return {"hex": value.hex()}


# What scapy builds, and beside it what the packet says.
def nonces(home, care_of):
    return (MIP6OptNonceIndices(olen=4, hni=home, coni=care_of), {"kind": "nonceIndices", "home": home, "careOf": care_of})


def alternate(care_of):
    return (MIP6OptAltCoA(acoa=care_of), {"kind": "alternateCareOf", "address": care_of})


def advice(units):
    return (MIP6OptBRAdvice(rinter=units), {"kind": "bindingRefreshAdvice", "intervalUnits": units})


def authorization(value):
    option = MIP6OptBindingAuthData(olen=12, authenticator=int.from_bytes(value, "big"))
    return (option, {"kind": "bindingAuthorization", "authenticator": hexed(value)})


def identifier(value):
    return (MIP6OptMNID(subtype=1, id=value), {"kind": "mnIdentifier", "subtype": 1, "identifier": hexed(value)})


def replay(timestamp):
    return (MIP6OptReplayProtection(timestamp=timestamp), {"kind": "messageReplay", "timestamp": {"uint64": str(timestamp)}})


def authentication(value, spi=MN_HA_SPI):
    option = MIP6OptMsgAuth(subtype=1, mspi=spi, authdata=value)
    return (option, {"kind": "authentication", "subtype": 1, "spi": spi, "data": hexed(value)})


def unknown(option_type, data):
    return (MIP6OptUnknown(otype=option_type, odata=data), {"kind": "unknown", "type": option_type, "data": hexed(data)})


def update(sequence, flags, units, options):
    header = MIP6MH_BU(seq=sequence, flags=flags, mhtime=units, options=[o for o, _ in options], res=0)
    return header, {
        "kind": "bindingUpdate", "sequence": sequence, "acknowledge": "A" in flags, "homeRegistration": "H" in flags,
        "linkLocalCompatibility": "L" in flags, "keyManagement": "K" in flags, "lifetimeUnits": units, "options": [s for _, s in options],
    }


def acknowledgement(status, sequence, units, options, flags=""):
    header = MIP6MH_BA(status=status, flags=flags, res=0, res2=0, seq=sequence, mhtime=units, options=[o for o, _ in options])
    return header, {
        "kind": "bindingAcknowledgement", "status": status, "keyManagement": "K" in flags, "sequence": sequence, "lifetimeUnits": units,
        "options": [s for _, s in options],
    }


def test_init(kind, options=()):
    cls, mhtype = (MIP6MH_HoTI, 1) if kind == "homeTestInit" else (MIP6MH_CoTI, 2)
    header = cls(mhtype=mhtype, res=0, cookie=COOKIE, options=[o for o, _ in options])
    return header, {"kind": kind, "cookie": hexed(COOKIE), "options": [s for _, s in options]}


def test(kind, index, options=()):
    cls, mhtype = (MIP6MH_HoT, 3) if kind == "homeTest" else (MIP6MH_CoT, 4)
    header = cls(mhtype=mhtype, res=0, index=index, cookie=COOKIE, token=TOKEN, options=[o for o, _ in options])
    return header, {"kind": kind, "nonceIndex": index, "cookie": hexed(COOKIE), "token": hexed(TOKEN), "options": [s for _, s in options]}


def packet(source, destination, message, home=None, routing_home=None, tunnel=None):
    header, says = message
    layers = IPv6(src=source, dst=destination)
    described = {"source": source, "destination": destination}
    if routing_home:
        layers = layers / IPv6ExtHdrRouting(type=2, segleft=1, addresses=[routing_home])
        described["routingHomeAddress"] = routing_home
    if home:
        layers = layers / IPv6ExtHdrDestOpt(options=[HAO(hoa=home)])
        described["homeAddress"] = home
    layers = layers / header
    if tunnel:
        layers = IPv6(src=tunnel[0], dst=tunnel[1]) / layers
        described["tunnel"] = {"source": tunnel[0], "destination": tunnel[1]}
    described["message"] = says
    return bytes(layers), described


def mobility_header(raw, described):
    skip = 40 + (40 if "tunnel" in described else 0) + (24 if "homeAddress" in described else 0) + (24 if "routingHomeAddress" in described else 0)
    header = bytearray(raw[skip:])
    header[CHECKSUM_AT:CHECKSUM_AT + 2] = b"\0\0"
    return bytes(header)


def first96(key, *parts):
    return hmac.new(key, b"".join(parts), hashlib.sha1).digest()[:12]


def authorized(build, care_of, correspondent):
    """RFC 6275 6.2.7. `build` makes the packet around a given authenticator."""
    raw, described = build(bytes(12))
    return build(first96(KBM, address(care_of), address(correspondent), mobility_header(raw, described)[:-12]))


def registered(build, care_of, home):
    """RFC 4285 5.1: the Mobility Header up to and including the SPI. `build` as above."""
    marker = b"\xa5" * 12
    raw, described = build(marker)
    header = mobility_header(raw, described)
    return build(first96(MN_HA_KEY, address(care_of), address(home), header[:header.index(marker)]))


def vectors():
    def add(name, built, **more):
        raw, described = built
        out.append({"name": name, "hex": raw.hex(), "packet": described, **more})

    out = []
    reverse_tunnel = (CARE_OF, HOME_AGENT)
    tunnel = (HOME_AGENT, CARE_OF)
    add("binding refresh request", packet(CLIENT, X, (MIP6MH_BRR(res=0, res2=0), {"kind": "bindingRefreshRequest", "options": []})))
    add("home test init through the home agent", packet(X, CLIENT, test_init("homeTestInit"), tunnel=reverse_tunnel))
    add("home test init on the home link", packet(X, CLIENT, test_init("homeTestInit")))
    add("care-of test init", packet(CARE_OF, CLIENT, test_init("careOfTestInit")))
    add("home test", packet(CLIENT, X, test("homeTest", 1)))
    add("home test through the home agent", packet(CLIENT, X, test("homeTest", 65535), tunnel=tunnel))
    add("care-of test", packet(CLIENT, CARE_OF, test("careOfTest", 7)))
    add("care-of test with an unknown option", packet(CLIENT, CARE_OF, test("careOfTest", 7, [unknown(201, b"hello")])))
    for status in (1, 2):
        says = {"kind": "bindingError", "status": status, "homeAddress": X if status == 1 else "::", "options": []}
        add(f"binding error {status}", packet(CLIENT, CARE_OF, (MIP6MH_BE(status=status, ha=says["homeAddress"]), says)))

    add("bare binding update", packet(CARE_OF, CLIENT, update(0, "", 0, []), home=X))
    add("binding update with every flag", packet(CARE_OF, CLIENT, update(65535, "AHLK", 65535, []), home=X))
    for flag in "AHLK":
        add(f"binding update with flag {flag}", packet(CARE_OF, CLIENT, update(1, flag, 1, []), home=X))
    add("binding update with an alternate care-of address", packet(CARE_OF, HOME_AGENT, update(2, "AH", 105, [alternate(OTHER_CARE_OF)]), home=X))
    add("binding update after an identifier of 3",
        packet(CARE_OF, HOME_AGENT, update(3, "AH", 105, [identifier(b"abc"), alternate(OTHER_CARE_OF), nonces(1, 2)]), home=X))
    for count in range(8):
        # Every alignment from every starting offset.
        shift = unknown(202, b"\xee" * count)
        add(f"alignments after {count} bytes: alternate care-of address", packet(CARE_OF, CLIENT, update(4, "A", 9, [shift, alternate(OTHER_CARE_OF)]), home=X))
        add(f"alignments after {count} bytes: nonce indices", packet(CARE_OF, CLIENT, update(4, "A", 9, [shift, nonces(3, 4)]), home=X))
        add(f"alignments after {count} bytes: authorization",
            packet(CARE_OF, CLIENT, update(4, "A", 9, [shift, authorization(bytes(range(12)))]), home=X))
        add(f"alignments after {count} bytes: authentication",
            packet(CARE_OF, CLIENT, update(4, "A", 9, [shift, authentication(bytes(range(12)))]), home=X))
        add(f"alignments after {count} bytes: replay", packet(CARE_OF, CLIENT, update(4, "A", 9, [shift, replay(TIMESTAMP)]), home=X))
        add(f"alignments after {count} bytes: refresh advice", packet(CLIENT, CARE_OF, acknowledgement(0, 4, 9, [shift, advice(80)]), routing_home=X))

    def signed_update(units, source, alternate_care_of, home):
        extra = [alternate(alternate_care_of)] if alternate_care_of else []
        return lambda value: packet(source, CLIENT, update(101, "A", units, [nonces(1, 1), *extra, authorization(value)]), home=home)

    def signed_acknowledgement(value):
        return packet(CLIENT, CARE_OF, acknowledgement(0, 101, 105, [authorization(value)]), routing_home=X)

    kbm = {"kbm": KBM.hex()}
    add("signed binding update", authorized(signed_update(105, CARE_OF, None, X), CARE_OF, CLIENT), **kbm)
    add("signed binding update for another node", authorized(signed_update(105, CARE_OF, OTHER_CARE_OF, X), OTHER_CARE_OF, CLIENT), **kbm)
    add("signed deregistration from afar", authorized(signed_update(0, CARE_OF, X, X), X, CLIENT), **kbm)
    add("signed deregistration from home", authorized(signed_update(0, X, None, None), X, CLIENT), **kbm)
    add("signed binding acknowledgement", authorized(signed_acknowledgement, CARE_OF, CLIENT), **kbm, careOf=CARE_OF)

    def registration(value):
        options = [alternate(OTHER_CARE_OF), identifier(NAI), replay(TIMESTAMP), authentication(value)]
        return packet(CARE_OF, HOME_AGENT, update(7, "AH", 150, options), home=X)

    def registration_reply(value):
        options = [advice(100), identifier(NAI), replay(TIMESTAMP), authentication(value)]
        return packet(HOME_AGENT, CARE_OF, acknowledgement(0, 7, 150, options, "K"), routing_home=X)

    key = {"mnHa": {"spi": MN_HA_SPI, "key": MN_HA_KEY.hex()}, "careOf": OTHER_CARE_OF}
    add("authenticated registration", registered(registration, OTHER_CARE_OF, X), **key)
    add("authenticated registration reply", registered(registration_reply, OTHER_CARE_OF, X), **key)
    for status in (129, 135, 136, 144, 255):
        add(f"binding acknowledgement {status}", packet(CLIENT, CARE_OF, acknowledgement(status, 40000, 0, []), routing_home=X))
    return out


if __name__ == "__main__":
    json.dump(vectors(), sys.stdout, indent=1)
    print()
