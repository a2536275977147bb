// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Mobile IPv6 user packets (RFC 6275 §6.3, §6.4, §9.3, §10.4, §11.3) translated at two tc hooks:
 *
 *   outgoing   egress of the data interface, and of the steering device, to which policy routing sends packets from a home
 *              address of ours and to bound ones when they have no next hop of their own
 *   incoming   ingress of the data interface
 *   returned   ingress of the steering device: packets that the agent kept and now gives back
 *
 * What the programs cannot decide is sent to the agent: marked by a destination MAC address that nobody has, out of the steering device,
 * whose other end the agent reads. Nothing here needs BTF: only skb helpers of Linux 5.10.
 * scripts/build-bpf.mjs compiles this; the result is committed beside it.
 */
#include <linux/bpf.h>

#define SECTION(name) __attribute__((section(name), used))
#define inline __attribute__((always_inline)) inline
#define htons(x) __builtin_bswap16(x)

static void *(*map_lookup)(void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;
static __u64 (*now_ns)(void) = (void *)BPF_FUNC_ktime_get_ns;
static long (*store_bytes)(struct __sk_buff *, __u32 at, const void *from, __u32 length, __u64 flags) = (void *)BPF_FUNC_skb_store_bytes;
static long (*load_bytes)(const struct __sk_buff *, __u32 at, void *to, __u32 length) = (void *)BPF_FUNC_skb_load_bytes;
static long (*adjust_room)(struct __sk_buff *, __s32 length, __u32 mode, __u64 flags) = (void *)BPF_FUNC_skb_adjust_room;
static long (*redirect)(__u32 device, __u64 flags) = (void *)BPF_FUNC_redirect;
static long (*redirect_neigh)(__u32 device, void *parameters, int length, __u64 flags) = (void *)BPF_FUNC_redirect_neigh;

#define PASS (-1) /* TC_ACT_UNSPEC, TCX_NEXT */
#define DROP 2    /* TC_ACT_SHOT, TCX_DROP */

#define ETHERNET 14
#define IP ETHERNET
#define NEXT (ETHERNET + 40)
#define IPV6 0x86dd
#define HOP_BY_HOP 0
#define TCP 6
#define TUNNEL 41
#define ROUTING 43
#define ICMPV6 58
#define DESTINATION_OPTIONS 60
#define MOBILITY 135
#define HOP_LIMIT 64
#define TELL_NS 1000000ULL
#define TELL_BURST 64

struct address { __u64 high, low; };
struct pair { struct address home, peer; };
struct ip6 { __u8 first[4]; __u16 length; __u8 next, hops; struct address source, destination; };
/* The only length of a type 2 routing header; a destination options header with just a Home Address option has it too. */
struct extension { __u8 next, length, body[6]; struct address home; };
/* RFC 4443 §3 */
struct icmp_error { __u8 type, code; __u16 checksum; __u32 value; struct ip6 quoted; };

/*
 * home_agent, narrow: 0 while there is nothing in `tunnels`, in `narrow`. kernel: extension headers are the kernel's business (XFRM, see ../kernel), but for clients
 * that are held or relayed.
 */
struct config { __u32 device, steering, mtu, mark; struct address self; __u32 home_agent, kernel, narrow, unused; };
struct home { struct address care_of, home_agent, via; };
/* direct: routes give packets to the home address the next hop of the care-of address. used: since the agent last asked. */
struct binding { struct address care_of; __u32 direct, used; };
enum state { UNKNOWN, SERVED, HELD, RELAYED };
struct client { struct address member; __u32 state, optimised; };
struct count { __u64 packets, bytes; };

/* In the order of counterNames in counters.ts. */
enum counter {
	TRANSLATED_OUT, TRANSLATED_IN, TUNNELLED_OUT, TUNNELLED_IN, RELAYED_ON, SIGNALLING, TO_AGENT,
	DROP_UNBOUND, DROP_STRANGER, DROP_REVERSE, DROP_NOT_REGISTERED, DROP_HOME_AGENT_ONLY, DROP_NOT_OURS, DROP_PLAIN,
	DROP_HOPS, DROP_TOO_BIG, DROP_UNROUTABLE, DROP_FAILED, DROP_TOO_MANY,
};
/* In the order of noticeNames in counters.ts: why the agent gets a packet. */
enum notice { NOTICE_HELD = 1, NOTICE_UNBOUND, NOTICE_TOO_BIG, NOTICE_ERROR, NOTICE_HOPS, NOTICE_NARROW, NOTICE_BOUNCED };
/* The IPv6 minimum MTU, and what of it a tunnel leaves to the packet inside. */
#define MINIMUM 1280
#define WHOLE (MINIMUM - 40)

extern struct { int unused; } settings, homes, members, clients, bindings, tunnels, narrow, locals, counters, limits;

static inline int same(const struct address *a, const struct address *b)
{
	return a->high == b->high && a->low == b->low;
}

static inline void count(__u32 which, __u32 bytes)
{
	struct count *entry = map_lookup(&counters, &which);
	if (entry) {
		entry->packets += 1;
		entry->bytes += bytes - ETHERNET;
	}
}

static inline int drop(struct __sk_buff *skb, __u32 why)
{
	count(why, skb->len);
	return DROP;
}

static inline int is_local(const struct address *address)
{
	return map_lookup(&locals, address) != 0;
}

/* Out of the data interface, to wherever the destination that the packet has now is routed. */
static inline int send(struct __sk_buff *skb, const struct config *config)
{
	skb->mark = config->mark;
	return redirect_neigh(config->device, 0, 0, 0);
}

/* On its way out with the right next hop? Then redirecting would only cost a second pass through the device's queue. */
static inline int leave(struct __sk_buff *skb, const struct config *config, int direct)
{
	return direct && skb->ifindex == config->device ? PASS : send(skb, config);
}

/* To the agent, as it is. */
static inline int punt(struct __sk_buff *skb, const struct config *config, __u8 notice)
{
	__u8 nobody[6] = { 0x02, 'a', 'l', 'a', 'b', notice };
	if (store_bytes(skb, 0, nobody, 6, 0)) return drop(skb, DROP_FAILED);
	count(TO_AGENT, skb->len);
	return redirect(config->steering, 0);
}

/* To the agent, but in the long run at most one packet a millisecond of each kind, and TELL_BURST at once: it only wants to know. */
static inline int tell(struct __sk_buff *skb, const struct config *config, __u8 notice, __u32 why)
{
	__u32 slot = notice;
	__u64 *next = map_lookup(&limits, &slot), now = now_ns();
	if (why != TO_AGENT) count(why, skb->len);
	if (!next || *next > now + TELL_BURST * TELL_NS) return why == TO_AGENT ? drop(skb, DROP_TOO_MANY) : DROP;
	*next = (*next > now ? *next : now) + TELL_NS;
	return punt(skb, config, notice);
}

/* An ICMPv6 error (RFC 4443 §3.1 to 3.4) at `at`? */
static inline int load_error(struct __sk_buff *skb, __u32 at, __u8 next, struct icmp_error *error)
{
	return next == ICMPV6 && !load_bytes(skb, at, error, 48) && error->type >= 1 && error->type <= 4;
}

/* The largest packet on the wire, from its IPv6 header on, that this one is cut into; `at`, `next`: what follows the (inner) IPv6 header. */
static inline __u32 largest(struct __sk_buff *skb, __u32 at, __u8 next)
{
	__u8 offset;
	if (!skb->gso_size) return skb->len - ETHERNET;
	if (next != TCP) return 0; /* cut by the device, to whatever size fits */
	if (load_bytes(skb, at + 12, &offset, 1)) return 65535;
	return (at - ETHERNET) + ((offset >> 4) << 2) + skb->gso_size;
}

/* Whether each packet on the wire, after `more` bytes in front, still fits the link. */
static inline int fits(struct __sk_buff *skb, const struct config *config, __u32 at, __u8 next, __u32 more)
{
	return skb->len + more <= 65535 + 40 + ETHERNET && largest(skb, at, next) + more <= config->mtu;
}

/* A forwarding node lowers the hop limit; at the end of it the packet dies, so that no loop of relays lasts. */
static inline int forward_hop(struct __sk_buff *skb, __u32 at, __u8 hops)
{
	__u8 less = hops - 1;
	return hops <= 1 || store_bytes(skb, at + 7, &less, 1, BPF_F_RECOMPUTE_CSUM);
}

/*
 * RFC 2473 §7.1: a packet that its sender cannot make smaller, on a way that carries it with the tunnel's header only in fragments: the agent
 * makes them. `at`: what follows the inner IPv6 header; `outer`: bytes in front of that header.
 */
static inline int needs_fragments(struct __sk_buff *skb, const struct config *config, const struct address *towards, __u32 at, __u8 next, __u32 outer)
{
	if (!config->narrow || !map_lookup(&narrow, towards)) return 0;
	__u32 size = largest(skb, at, next) - outer;
	return size > WHOLE && size <= MINIMUM;
}

/* IPv6-in-IPv6 (RFC 2473), traffic class and flow label copied. `inner` is the header that becomes the inner one. */
static inline int encapsulate(struct __sk_buff *skb, const struct config *config, struct ip6 *inner, const struct address *source, const struct address *destination)
{
	struct ip6 outer;
	if (needs_fragments(skb, config, destination, NEXT, inner->next, 0)) return punt(skb, config, NOTICE_NARROW);
	if (adjust_room(skb, 40, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV6)) return drop(skb, DROP_FAILED);
	__builtin_memcpy(outer.first, inner->first, 4);
	outer.length = htons(htons(inner->length) + 40);
	outer.next = TUNNEL;
	outer.hops = HOP_LIMIT;
	outer.source = *source;
	outer.destination = *destination;
	if (store_bytes(skb, IP, &outer, 40, BPF_F_RECOMPUTE_CSUM)) return drop(skb, DROP_FAILED);
	return send(skb, config);
}

/* New ends for a packet that is in a tunnel already. */
static inline int retunnel(struct __sk_buff *skb, const struct config *config, struct ip6 *inner, const struct address *source, const struct address *destination)
{
	struct { struct address source, destination; } ends;
	__u8 hops = HOP_LIMIT;
	if (forward_hop(skb, NEXT, inner->hops)) return drop(skb, DROP_HOPS);
	if (needs_fragments(skb, config, destination, NEXT + 40, inner->next, 40)) return punt(skb, config, NOTICE_NARROW);
	ends.source = *source;
	ends.destination = *destination;
	if (store_bytes(skb, IP + 7, &hops, 1, BPF_F_RECOMPUTE_CSUM) || store_bytes(skb, IP + 8, &ends, 32, BPF_F_RECOMPUTE_CSUM)) return drop(skb, DROP_FAILED);
	return send(skb, config);
}

/* Takes the outer header off; congestion experienced on the way stays visible (RFC 6040). */
static inline int decapsulate(struct __sk_buff *skb, const struct ip6 *outer, const struct ip6 *inner)
{
	if (adjust_room(skb, -40, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO)) return -1;
	if ((outer->first[1] & 0x30) == 0x30 && (inner->first[1] & 0x30)) {
		__u8 marked = inner->first[1] | 0x30;
		if (store_bytes(skb, IP + 1, &marked, 1, BPF_F_RECOMPUTE_CSUM)) return -1;
	}
	return 0;
}

/*
 * Puts a 24-byte extension header behind the IPv6 header, whose source or destination the caller has changed. Both are written in one go: each
 * call of store_bytes costs as much as a few lookups.
 */
static inline int insert(struct __sk_buff *skb, struct ip6 *ip, const struct extension *extension, __u8 protocol)
{
	struct { struct ip6 ip; struct extension extension; } headers = { *ip, *extension };
	headers.extension.next = ip->next;
	headers.extension.length = 2;
	headers.ip.next = protocol;
	headers.ip.length = htons(htons(ip->length) + 24);
	return adjust_room(skb, 24, BPF_ADJ_ROOM_NET, BPF_F_ADJ_ROOM_FIXED_GSO) || store_bytes(skb, IP, &headers, 64, BPF_F_RECOMPUTE_CSUM);
}

/* Takes the 24-byte extension header out again; the caller has put its home address where it belongs in `ip`. */
static inline int strip(struct __sk_buff *skb, struct ip6 *ip, const struct extension *extension)
{
	ip->length = htons(htons(ip->length) - 24);
	ip->next = extension->next;
	return adjust_room(skb, -24, BPF_ADJ_ROOM_NET, BPF_F_ADJ_ROOM_FIXED_GSO) || store_bytes(skb, IP, ip, 40, BPF_F_RECOMPUTE_CSUM);
}

/* §11.3.1: a packet from our home address, route-optimised or through the reverse tunnel. */
static inline int from_home(struct __sk_buff *skb, const struct config *config, struct ip6 *ip, struct home *home)
{
	struct pair key = { ip->source, ip->destination };
	__u8 first = *(__u8 *)&ip->destination, second = *((__u8 *)&ip->destination + 1);
	if (first == 0xff || (first == 0xfe && (second & 0xc0) == 0x80)) return drop(skb, DROP_UNROUTABLE);
	struct client *client = map_lookup(&clients, &key);
	if (client && client->optimised && ip->next != HOP_BY_HOP) {
		struct extension option = { .body = { 1, 2, 0, 0, 0xc9, 16 }, .home = ip->source };
		count(TRANSLATED_OUT, skb->len);
		ip->source = home->care_of;
		if (insert(skb, ip, &option, DESTINATION_OPTIONS)) return drop(skb, DROP_FAILED);
		return leave(skb, config, 1);
	}
	count(TUNNELLED_OUT, skb->len);
	return encapsulate(skb, config, ip, &home->care_of, &home->via);
}

/* §9.3.2: what this host itself sends to a bound home address. */
static inline int to_bound(struct __sk_buff *skb, const struct config *config, struct ip6 *ip, struct binding *binding)
{
	struct extension routing = { .body = { 2, 1 }, .home = ip->destination };
	int direct = binding->direct;
	if (!binding->used) binding->used = 1;
	count(TRANSLATED_OUT, skb->len);
	ip->destination = binding->care_of;
	if (insert(skb, ip, &routing, ROUTING)) return drop(skb, DROP_FAILED);
	return leave(skb, config, direct);
}

SECTION("outgoing") int on_outgoing(struct __sk_buff *skb)
{
	__u32 zero = 0;
	struct config *config = map_lookup(&settings, &zero);
	struct ip6 ip;
	if (!config || skb->mark == config->mark || skb->protocol != htons(IPV6) || load_bytes(skb, IP, &ip, 40)) return PASS;
	if (skb->ifindex != config->device) {
		__u8 nobody[5];
		if (load_bytes(skb, 0, nobody, 5)) return DROP;
		if (nobody[0] == 0x02 && nobody[1] == 'a' && nobody[2] == 'l' && nobody[3] == 'a' && nobody[4] == 'b') return PASS;
	}

	struct home *home = ip.next == MOBILITY ? 0 : map_lookup(&homes, &ip.source);
	if (home) return skb->len > 65535 + ETHERNET ? drop(skb, DROP_TOO_BIG) : from_home(skb, config, &ip, home);

	struct binding *binding = map_lookup(&bindings, &ip.destination);
	if (binding) {
		/* Past our routes: signalling, what we only forward, what must have another header first, and what the kernel left as it is. */
		if (config->kernel || ip.next == MOBILITY || ip.next == HOP_BY_HOP || !is_local(&ip.source)) return send(skb, config);
		return skb->len > 65535 + ETHERNET ? drop(skb, DROP_TOO_BIG) : to_bound(skb, config, &ip, binding);
	}
	if (skb->ifindex == config->device) return PASS;
	struct address *care_of = map_lookup(&tunnels, &ip.destination);
	if (!care_of) return send(skb, config);
	if (skb->len > 65535 + ETHERNET) return drop(skb, DROP_TOO_BIG);
	count(TUNNELLED_OUT, skb->len);
	return encapsulate(skb, config, &ip, &config->self, care_of);
}

/* §10.4.1, §10.4.2: the home agent takes packets for the home address and tunnels them, but not what belongs to the link. */
static inline int to_away(struct __sk_buff *skb, const struct config *config, struct ip6 *ip, const struct address *care_of)
{
	__u8 first = *(__u8 *)&ip->source, second = *((__u8 *)&ip->source + 1), type;
	if (first == 0xfe && (second & 0xc0) == 0x80) return PASS;
	if (ip->next == ICMPV6 && !load_bytes(skb, NEXT, &type, 1) && type >= 133 && type <= 137) return PASS;
	if (ip->hops <= 1) return tell(skb, config, NOTICE_HOPS, DROP_HOPS);
	if (!fits(skb, config, NEXT, ip->next, 40)) return tell(skb, config, NOTICE_TOO_BIG, DROP_TOO_BIG);
	if (forward_hop(skb, IP, ip->hops)) return drop(skb, DROP_HOPS);
	count(TUNNELLED_OUT, skb->len);
	return encapsulate(skb, config, ip, &config->self, care_of);
}

/*
 * What becomes of client -> home packets: delivered, kept by the agent, or sent on to another member. An ICMPv6 error goes where the client goes
 * that it is about, whoever sent it. `at`, `next`: what follows the IPv6 header that is, or will be, to the home address.
 */
static inline int decide(struct __sk_buff *skb, __u32 at, __u8 next, struct pair *key, struct address *member, int from_member)
{
	struct icmp_error error;
	if (load_error(skb, at, next, &error) && same(&error.quoted.source, &key->home)) key->peer = error.quoted.destination;
	struct client *client = map_lookup(&clients, key);
	__u32 state = client ? client->state : UNKNOWN;
	if (state == RELAYED) *member = client->member;
	if (state == UNKNOWN && from_member) return HELD;
	return state;
}

/* §6.4, §11.3.3: a type 2 routing header names the home address that the packet is for. */
static inline int routed(struct __sk_buff *skb, const struct config *config, struct ip6 *ip)
{
	struct extension header;
	if (load_bytes(skb, NEXT, &header, 24)) return PASS;
	if (header.body[0] != 2) return PASS;
	if (!is_local(&ip->destination)) return PASS;
	if (header.next == MOBILITY) return drop(skb, SIGNALLING);
	struct home *home = map_lookup(&homes, &header.home);
	if (header.length != 2 || header.body[1] != 1 || !home || !same(&home->care_of, &ip->destination)) return drop(skb, DROP_NOT_OURS);

	struct pair key = { header.home, ip->source };
	struct address member = {};
	int state = decide(skb, NEXT + 24, header.next, &key, &member, 0);
	if (config->kernel && state != HELD && state != RELAYED) return PASS;
	count(TRANSLATED_IN, skb->len);
	ip->destination = header.home;
	if (strip(skb, ip, &header)) return drop(skb, DROP_FAILED);
	if (state == HELD) return punt(skb, config, NOTICE_HELD);
	if (state != RELAYED) return PASS;
	if (!fits(skb, config, NEXT, ip->next, 40)) return tell(skb, config, NOTICE_TOO_BIG, DROP_TOO_BIG);
	if (forward_hop(skb, IP, ip->hops)) return drop(skb, DROP_HOPS);
	count(RELAYED_ON, skb->len);
	return encapsulate(skb, config, ip, &home->care_of, &member);
}

/* §6.3, §9.3.1: a Home Address option counts only with a binding of just this care-of address. */
static inline int with_home_address(struct __sk_buff *skb, const struct config *config, struct ip6 *ip)
{
	struct extension option;
	if (load_bytes(skb, NEXT, &option, 24) || !is_local(&ip->destination)) return PASS;
	if (option.next == MOBILITY) return drop(skb, SIGNALLING);
	if (config->kernel || option.length != 2 || option.body[4] != 0xc9 || option.body[5] != 16) return PASS;
	struct binding *binding = map_lookup(&bindings, &option.home);
	if (!binding || !same(&binding->care_of, &ip->source)) return tell(skb, config, NOTICE_UNBOUND, DROP_UNBOUND);
	if (!binding->used) binding->used = 1;
	count(TRANSLATED_IN, skb->len);
	ip->source = option.home;
	if (strip(skb, ip, &option)) return drop(skb, DROP_FAILED);
	return PASS;
}

static inline int carries_signalling(struct __sk_buff *skb, const struct ip6 *inner)
{
	__u8 next = 0;
	if (inner->next == MOBILITY) return 1;
	if (inner->next != ROUTING && inner->next != DESTINATION_OPTIONS) return 0;
	return !load_bytes(skb, NEXT + 40, &next, 1) && next == MOBILITY;
}

/* A tunnel from the home agent or from another member with a packet for our home address in it. */
static inline int tunnelled_to_home(struct __sk_buff *skb, const struct config *config, struct ip6 *outer, struct ip6 *inner, struct home *home)
{
	struct pair tunnel = { inner->destination, outer->source };
	int from_member = map_lookup(&members, &tunnel) != 0;
	if (!from_member && !same(&outer->source, &home->home_agent)) return drop(skb, DROP_STRANGER);
	if (carries_signalling(skb, inner)) return drop(skb, SIGNALLING);

	struct pair key = { inner->destination, inner->source };
	struct address member = {};
	int state = decide(skb, NEXT + 40, inner->next, &key, &member, from_member);
	int bounced = state == RELAYED && same(&member, &outer->source);
	if (state == RELAYED && !bounced) {
		count(RELAYED_ON, skb->len);
		return retunnel(skb, config, inner, &home->care_of, &member);
	}
	count(TUNNELLED_IN, skb->len);
	if (decapsulate(skb, outer, inner)) return drop(skb, DROP_FAILED);
	if (bounced) return punt(skb, config, NOTICE_BOUNCED);
	return state == HELD ? punt(skb, config, NOTICE_HELD) : PASS;
}

static inline int tunnelled(struct __sk_buff *skb, const struct config *config, struct ip6 *outer)
{
	struct ip6 inner;
	if (load_bytes(skb, NEXT, &inner, 40) || (inner.first[0] >> 4) != 6 || !is_local(&outer->destination)) return PASS;

	struct home *home = map_lookup(&homes, &inner.destination);
	if (home) return same(&home->care_of, &outer->destination) ? tunnelled_to_home(skb, config, outer, &inner, home) : drop(skb, DROP_STRANGER);

	home = map_lookup(&homes, &inner.source);
	if (home) {
		struct pair tunnel = { inner.source, outer->source };
		if (!same(&home->care_of, &outer->destination) || !map_lookup(&members, &tunnel)) return drop(skb, DROP_REVERSE);
		if (!same(&home->via, &home->home_agent)) return drop(skb, DROP_HOME_AGENT_ONLY);
		count(RELAYED_ON, skb->len);
		return retunnel(skb, config, &inner, &home->care_of, &home->home_agent);
	}

	struct address *care_of = map_lookup(&tunnels, &inner.source);
	if (care_of) {
		if (!same(care_of, &outer->source)) return drop(skb, DROP_NOT_REGISTERED);
		count(TUNNELLED_IN, skb->len);
		care_of = map_lookup(&tunnels, &inner.destination);
		if (care_of) return retunnel(skb, config, &inner, &config->self, care_of);
		int here = is_local(&inner.destination);
		if (decapsulate(skb, outer, &inner)) return drop(skb, DROP_FAILED);
		if (here) return PASS;
		if (forward_hop(skb, IP, inner.hops)) return drop(skb, DROP_HOPS);
		return send(skb, config);
	}
	return map_lookup(&tunnels, &inner.destination) ? drop(skb, DROP_STRANGER) : PASS;
}

/* Errors about packets that left translated mean nothing to our TCP as they are: the agent translates them back. */
static inline int about_translated(struct __sk_buff *skb, struct ip6 *ip)
{
	struct icmp_error error;
	if (!load_error(skb, NEXT, ip->next, &error) || !is_local(&ip->destination)) return 0;
	return error.quoted.next == TUNNEL || error.quoted.next == ROUTING || error.quoted.next == DESTINATION_OPTIONS;
}

SECTION("incoming") int on_incoming(struct __sk_buff *skb)
{
	__u32 zero = 0;
	struct config *config = map_lookup(&settings, &zero);
	struct ip6 ip;
	/* pkt_type 0: for our link-layer address. What a switch floods is another's business. */
	if (!config || skb->pkt_type != 0 || skb->protocol != htons(IPV6) || load_bytes(skb, IP, &ip, 40)) return PASS;

	struct address *care_of = config->home_agent ? map_lookup(&tunnels, &ip.destination) : 0;
	if (care_of) return to_away(skb, config, &ip, care_of);
	if (ip.next == TUNNEL) return tunnelled(skb, config, &ip);
	if (ip.next == ROUTING) return routed(skb, config, &ip);
	if (ip.next == DESTINATION_OPTIONS) return with_home_address(skb, config, &ip);
	if (map_lookup(&homes, &ip.destination)) return drop(skb, DROP_PLAIN);
	if (ip.next == MOBILITY && is_local(&ip.destination)) return drop(skb, SIGNALLING);
	return about_translated(skb, &ip) ? tell(skb, config, NOTICE_ERROR, TO_AGENT) : PASS;
}

/* Kept packets go to the stack, unless their client has been handed on meanwhile; reassembled tunnel packets as if they had come whole. */
SECTION("returned") int on_returned(struct __sk_buff *skb)
{
	__u32 zero = 0;
	struct config *config = map_lookup(&settings, &zero);
	struct ip6 ip;
	if (!config || skb->protocol != htons(IPV6) || load_bytes(skb, IP, &ip, 40)) return PASS;
	if (ip.next == TUNNEL && is_local(&ip.destination)) return redirect(config->device, BPF_F_INGRESS);
	struct home *home = map_lookup(&homes, &ip.destination);
	if (!home) return PASS;
	struct pair key = { ip.destination, ip.source };
	struct address member = {};
	if (decide(skb, NEXT, ip.next, &key, &member, 0) != RELAYED) return PASS;
	if (!fits(skb, config, NEXT, ip.next, 40)) return tell(skb, config, NOTICE_TOO_BIG, DROP_TOO_BIG);
	if (forward_hop(skb, IP, ip.hops)) return drop(skb, DROP_HOPS);
	count(RELAYED_ON, skb->len);
	return encapsulate(skb, config, &ip, &home->care_of, &member);
}

SECTION("license") char license_text[] = "GPL";
