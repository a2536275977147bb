import type { Rate } from "../../src-shared/protocol/core/tokenBucket.ts";

/** RFC 4443 §2.4 (f): ICMPv6 errors that we send to other hosts, together. What is lost by it is told again when the packet that did not fit is sent again. */
export const errorRate: Rate = { perSecond: 100, burst: 100 };
