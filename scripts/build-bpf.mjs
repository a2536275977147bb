#!/usr/bin/env node
// Compiles the tc programs of the eBPF data plane. Needs clang (Debian: clang, linux-libc-dev). The object is committed: hosts need neither.
// usage: build-bpf.mjs [OUTPUT]
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const source = fileURLToPath(new URL("../src-agent/dataplane/ebpf/mobility.bpf.c", import.meta.url));
const output = process.argv[2] ?? fileURLToPath(new URL("../src-agent/dataplane/ebpf/mobility.bpf.o", import.meta.url));
const includes = ["/usr/include/x86_64-linux-gnu", "/usr/include/aarch64-linux-gnu"].filter(existsSync).slice(0, 1);

execFileSync(
  process.env.CLANG ?? "clang",
  ["-O2", "-target", "bpfel", "-mcpu=v2", "-Wall", "-Werror", "-fno-ident", ...includes.map((path) => `-I${path}`), "-c", source, "-o", output],
  { stdio: "inherit" },
);
