import { writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { hubSettings } from "../../lib/hub/settings.js";
import { temporaryFolder } from "../run/collect.js";

const folder = temporaryFolder();
const of = (environment: Record<string, string>) => hubSettings({}, environment);

test("the cache lies where huggingface_hub has it", async () => {
  expect((await of({})).cache).toBe(join(homedir(), ".cache/huggingface/hub"));
  expect((await of({ XDG_CACHE_HOME: "/x" })).cache).toBe("/x/huggingface/hub");
  expect((await of({ XDG_CACHE_HOME: "/x", HF_HOME: "/h" })).cache).toBe("/h/hub");
  expect((await of({ HF_HOME: "/h", HUGGINGFACE_HUB_CACHE: "/old" })).cache).toBe("/old");
  expect((await of({ HF_HOME: "/h", HUGGINGFACE_HUB_CACHE: "/old", HF_HUB_CACHE: "/c" })).cache).toBe("/c");
  expect((await of({ HF_HOME: "~/h", HF_HUB_CACHE: "" })).cache).toBe(join(homedir(), "h/hub"));
});

test("the token is the variable's, or else the file's", async () => {
  const file = join(folder, "token");
  writeFileSync(file, "hf_file\n");
  expect((await of({ HF_HOME: folder })).token).toEqual({ value: "hf_file", source: file });
  expect((await of({ HF_HOME: "/h", HF_TOKEN_PATH: file })).token).toEqual({ value: "hf_file", source: file });
  expect((await of({ HF_HOME: folder, HF_TOKEN: " hf_var\n" })).token).toEqual({ value: "hf_var", source: "HF_TOKEN" });
  expect((await of({ HF_HOME: "/h" })).token).toBeUndefined();
  expect((await of({ HF_HOME: folder, HF_HUB_DISABLE_IMPLICIT_TOKEN: "1" })).token).toBeUndefined();
});

test("what cannot be an address or a token is refused, and the token is not shown", async () => {
  const refused = "HF_ENDPOINT: huggingface.co, expected an address as https://huggingface.co";
  await expect(of({ HF_ENDPOINT: "huggingface.co" })).rejects.toThrow(refused);
  await expect(of({ HF_ENDPOINT: "https://" })).rejects.toThrow(/^HF_ENDPOINT: /);
  await expect(of({ HF_ENDPOINT: "https://me:secret@host" })).rejects.toThrow(
    /^HF_ENDPOINT: holds a user or password, expected an address without; HF_TOKEN shows who asks$/,
  );
  for (const token of ["hf_a b", "hf_ä", "hf_a\nhf_b"]) {
    await expect(of({ HF_TOKEN: token })).rejects.toThrow(
      /^HF_TOKEN: holds a blank or a character that no token has, expected one token$/,
    );
  }
});

test("the endpoint has no slash at its end, and flags are on by several words", async () => {
  expect((await of({})).endpoint).toBe("https://huggingface.co");
  expect((await of({ HF_ENDPOINT: "http://mirror/hf//" })).endpoint).toBe("http://mirror/hf");
  const offline = ["1", "true", "YES", "on", "0", "false", ""].map(
    async (HF_HUB_OFFLINE) => (await of({ HF_HUB_OFFLINE })).offline,
  );
  expect(await Promise.all(offline)).toEqual([true, true, true, true, false, false, false]);
  expect((await of({ TRANSFORMERS_OFFLINE: "1" })).offline).toBe(true);
  expect((await of({ HF_HUB_DISABLE_SYMLINKS: "1" })).symlinks).toBe(false);
});

test("what is given goes before", async () => {
  const given = { endpoint: "http://given", offline: true };
  expect(await hubSettings(given, { HF_ENDPOINT: "http://e" })).toMatchObject(given);
});
