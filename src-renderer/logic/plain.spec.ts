import { describe, expect, it } from "vitest";
import { plain } from "./plain.ts";

describe("plain", () => {
  it.each([
    ["ordinary text, ümläute 東京 🏴‍☠️".replace("\u200d", ""), "ordinary text, ümläute 東京 🏴‍☠️".replace("\u200d", "")],
    ["\u202Egnp.exe", "⟨202e⟩gnp.exe"],
    ["a\u0000b\r\nc", "a␀b␍␊c"],
    ["\u001b[31mred", "␛[31mred"],
    ["zero\u200bwidth", "zero⟨200b⟩width"],
    ["del\u007f", "del␡"],
  ])("%j becomes %j", (text, shown) => expect(plain(text)).toBe(shown));
});
