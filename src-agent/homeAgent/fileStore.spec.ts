import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseAddress } from "../../src-shared/net/address.ts";
import { FileHomeStore } from "./fileStore.ts";

const X = parseAddress("2001:db8:f::1");
let directory: string;
let store: FileHomeStore;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "homes-"));
  store = new FileHomeStore(directory);
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));
const file = (name: string): string => join(directory, "homes", name);

describe("kept home addresses", () => {
  it("come back as they were, one private file each, nothing beside it", () => {
    expect(store.list()).toEqual([]);
    expect(store.load(X)).toBeUndefined();
    store.save(X, { a: 1 });
    store.save(X, { a: 2 });
    expect(new FileHomeStore(directory).list()).toEqual([X]);
    expect(new FileHomeStore(directory).load(X)).toEqual({ a: 2 });
    expect(statSync(file(`${X}.json`)).mode & 0o777).toBe(0o600);
    expect(statSync(join(directory, "homes")).mode & 0o777).toBe(0o700);
    expect(readdirSync(join(directory, "homes"))).toEqual([`${X}.json`]);
    store.remove(X);
    store.remove(X);
    expect(store.list()).toEqual([]);
  });

  it("can no longer be read when they could not be brought up to date, also over a restart", () => {
    store.save(X, { a: 1 });
    mkdirSync(file(`${X}.json.new`));
    expect(() => store.save(X, { a: 2 })).toThrow(/EISDIR/);
    expect(() => store.load(X)).toThrow(/2001:db8:f::1\.json is not JSON/);
    expect(store.list()).toEqual([X]);
    rmSync(file(`${X}.json.new`), { recursive: true });
    store.save(X, { a: 3 });
    expect(store.load(X)).toEqual({ a: 3 });
  });

  it("are refused when somebody else wrote them, and other files are left alone", () => {
    store.save(X, {});
    writeFileSync(file(`${X}.json`), `"${"x".repeat(5000)}"`);
    expect(() => store.load(X)).toThrow(/no more than 4096/);
    writeFileSync(file("notes.json"), "{}");
    writeFileSync(file("2001:db8::9.json.new"), "{}");
    expect(store.list()).toEqual([X]);
  });
});
