import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";

import { ChatHistory, historyPath } from "../../lib/cli/chat_history.js";
import { ChatInput } from "../../lib/cli/chat_input.js";
import { temporaryFolder } from "../run/collect.js";

const folder = temporaryFolder();

test.each([
  ["Hi", ["Hi"]],
  ["a\\|b\\|c|d", ["a\nb\nc", "d"]],
  ['"""|a|  b\\||c|"""|d', ["a\n  b\\\n\nc", "d"]],
  ['"""a|b"""', ["a\nb"]],
  ['"""a"""', ["a"]],
  ['say """|x', ['say """', "x"]],
  ['a\\|"""|b', ['a\n"""', "b"]],
  ['"""|"""', [""]],
])("the lines of %j are the messages %j", (lines, messages) => {
  const input = new ChatInput();
  const found = lines.split("|").flatMap((line) => input.push(line) ?? []);
  expect([found, input.isOpen]).toEqual([messages, false]);
});

test("what was begun can be ended early, and the next begins anew", () => {
  const input = new ChatInput();
  for (const line of ['"""', "a"]) expect([input.push(line), input.isOpen]).toEqual([undefined, true]);
  expect([input.end(), input.isOpen, input.push("b")]).toEqual(["a", false, "b"]);
});

test("history lies under XDG_STATE_HOME if that is a whole path", () => {
  expect(historyPath({ XDG_STATE_HOME: "/state" })).toBe("/state/westwind/chat_history");
  const standard = join(homedir(), ".local", "state", "westwind", "chat_history");
  for (const asked of ["", "state", undefined]) expect(historyPath({ XDG_STATE_HOME: asked })).toBe(standard);
});

test("history comes back the latest first, is nobody else's to read, and does not grow without end", async () => {
  const path = join(folder, "new", "chat_history");
  const first = await ChatHistory.open(path);
  expect(first.lines).toEqual([]);
  const second = await ChatHistory.open(path);
  await first.add("one");
  await second.add("two");
  expect((await ChatHistory.open(path)).lines).toEqual(["two", "one"]);
  expect(statSync(path).mode & 0o777).toBe(0o600);

  writeFileSync(path, Array.from({ length: 2001 }, (_, i) => `${i}\n`).join(""));
  expect((await ChatHistory.open(path)).lines.slice(0, 2)).toEqual(["2000", "1999"]);
  const kept = readFileSync(path, "utf8").split("\n");
  expect([kept.length, kept[0], kept.at(-2)]).toEqual([1001, "1001", "2000"]);
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test("a folder that cannot be made is said", async () => {
  writeFileSync(join(folder, "file"), "");
  await expect(ChatHistory.open(join(folder, "file", "chat_history"))).rejects.toThrow("cannot be made");
  expect(existsSync(join(folder, "file", "chat_history"))).toBe(false);
});
