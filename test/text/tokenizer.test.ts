import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FileError, ModelError } from "../../lib/base/errors.js";
import { Tokenizer } from "../../lib/text/tokenizer.js";
import { readJsonLines } from "../shared_data.js";

const FIXTURES = fileURLToPath(new URL("../fixtures/text/", import.meta.url));
const FOLDER = join(FIXTURES, "tiny-llama");

interface Rules {
  readonly ids: number[];
  readonly with_special: number[];
  readonly decoded: string;
}
const rows = readJsonLines<{ text: string; file: Rules; transformers: Rules }>(join(FIXTURES, "encodings.jsonl"));

describe.each(["file", "transformers"] as const)("rules: %s", (rules) => {
  test.each(rows.map((row) => [row.text, row[rules]] as const))("%j", async (text, expected) => {
    const tokenizer = await Tokenizer.load(FOLDER, { rules });
    expect([...tokenizer.encode(text)]).toEqual(expected.ids);
    expect([...tokenizer.encode(text, { addSpecialTokens: true })]).toEqual(expected.with_special);
    expect(tokenizer.decode(expected.ids)).toBe(expected.decoded);
  });
});

test("the rules differ, and the default is transformers' unless a file is named", async () => {
  const text = "the cat</s>\nthe dog";
  const [loaded, named] = [await Tokenizer.load(FOLDER), await Tokenizer.load(FOLDER, { file: "tokenizer.json" })];
  const row = rows.find((each) => each.text === text)!;
  expect(row.file.ids).not.toEqual(row.transformers.ids);
  expect([...loaded.encode(text)]).toEqual(row.transformers.ids);
  expect([...named.encode(text)]).toEqual(row.file.ids);
});

test("special tokens are strings or objects, and null is none", async () => {
  const tokenizer = await Tokenizer.load(FOLDER);
  expect(tokenizer).toMatchObject({ bosId: 1, bosToken: "<s>", eosId: 2, eosToken: "</s>", unkToken: "<unk>" });
  expect(tokenizer.padId).toBeUndefined();
  expect(tokenizer.vocabSize).toBe(361);
  expect(tokenizer.token(tokenizer.vocabSize - 1)).toBe("<|end|>");
  expect(tokenizer.token(tokenizer.vocabSize)).toBeUndefined();
});

test("no token stands for more bytes than the longest", async () => {
  const tokenizer = await Tokenizer.load(FOLDER);
  const lengths = Array.from({ length: tokenizer.vocabSize }, (_, id) => tokenizer.bytesOf(id).length);
  expect(tokenizer.longestToken).toBe(Math.max(...lengths));
  const text = tokenizer.bytesOf(lengths.indexOf(tokenizer.longestToken)).toString().repeat(20);
  expect(tokenizer.encode(text).length).toBeGreaterThanOrEqual(Buffer.byteLength(text) / tokenizer.longestToken);
});

test("decoding leaves special tokens out on request, and nothing decodes to nothing", async () => {
  const tokenizer = await Tokenizer.load(FOLDER);
  const ids = tokenizer.encode("the cat</s>", { addSpecialTokens: true });
  expect(tokenizer.decode(ids)).toBe("<s> the cat</s>");
  expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe("the cat");
  expect(tokenizer.decode([])).toBe("");
  expect(tokenizer.decode([99999])).toBe("");
});

describe("a folder of one's own", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "tokenizer-"));
    await cp(FOLDER, folder, { recursive: true });
  });
  afterEach(() => rm(folder, { recursive: true }));

  const config = async (change: Record<string, unknown>): Promise<void> => {
    const path = join(folder, "tokenizer_config.json");
    await writeFile(path, JSON.stringify({ ...JSON.parse(await readFile(path, "utf8")), ...change }));
  };

  test("add_eos_token and add_bos_token decide over the post-processor", async () => {
    await config({ add_bos_token: false, add_eos_token: true });
    const tokenizer = await Tokenizer.load(folder);
    expect(tokenizer.decode(tokenizer.encode("the", { addSpecialTokens: true }))).toBe("the</s>");
  });

  test("legacy: true puts a blank after every special token", async () => {
    await config({ legacy: true });
    const tokenizer = await Tokenizer.load(folder);
    expect(tokenizer.decode(tokenizer.encode("the</s>dog"))).toBe("the</s> dog");
  });

  test("beside a mistral model tokenizer.json is taken as it is", async () => {
    await writeFile(join(folder, "config.json"), JSON.stringify({ model_type: "mistral" }));
    const tokenizer = await Tokenizer.load(folder);
    for (const { text, file } of rows) expect([...tokenizer.encode(text)], text).toEqual(file.ids);
  });

  test("without added_tokens_decoder special_tokens_map.json wins, with it the config does", async () => {
    await writeFile(join(folder, "special_tokens_map.json"), JSON.stringify({ eos_token: { content: "<|end|>" } }));
    expect((await Tokenizer.load(folder)).eosToken).toBe("<|end|>");
    await config({ added_tokens_decoder: {} });
    expect((await Tokenizer.load(folder)).eosToken).toBe("</s>");
  });

  test("chat_template.jinja goes before the config's, and saveTo keeps a run's own", async () => {
    const named = await Tokenizer.load(folder);
    expect(named.chatTemplate).toContain("m.role");
    expect([...named.chatTemplates.keys()]).toEqual(["default", "short"]);
    await writeFile(join(folder, "chat_template.jinja"), "{{ 1 }}");
    const own = await Tokenizer.load(folder);
    expect(own.chatTemplate).toBe("{{ 1 }}");
    expect(own.files).toContain(join(folder, "chat_template.jinja"));

    const saved = await mkdtemp(join(folder, "saved-"));
    await own.saveTo(saved, { chatTemplate: "{{ 2 }}" });
    const again = await Tokenizer.load(saved);
    expect(again.chatTemplate).toBe("{{ 2 }}");
    expect(again.encode("the cat</s> sat")).toEqual(own.encode("the cat</s> sat"));
  });

  test("saveTo names another file tokenizer.json", async () => {
    await cp(join(folder, "tokenizer.json"), join(folder, "other.json"));
    const saved = await mkdtemp(join(folder, "saved-"));
    await (await Tokenizer.load(folder, { file: "other.json" })).saveTo(saved);
    await expect(readFile(join(saved, "tokenizer.json"), "utf8")).resolves.toContain('"BPE"');
  });

  test("what is missing or broken is named", async () => {
    const path = join(folder, "tokenizer.json");
    await writeFile(path, '{"model": {"type": "BPE"');
    await expect(Tokenizer.load(folder)).rejects.toThrow(FileError);
    await expect(Tokenizer.load(folder)).rejects.toThrow(/tokenizer\.json: is not JSON/);
    await writeFile(path, '{"added_tokens": []}');
    await expect(Tokenizer.load(folder)).rejects.toThrow(ModelError);
    await expect(Tokenizer.load(folder)).rejects.toThrow(/model: missing, expected/);
    await writeFile(path, '{"model": {"type": "BPE", "vocab": []}}');
    await expect(Tokenizer.load(folder)).rejects.toThrow(/model: expected vocab/);
    await writeFile(path, '{"model": {"type": "Strange", "vocab": {}}}');
    await expect(Tokenizer.load(folder)).rejects.toThrow(/model.type: "Strange", expected BPE/);
    await rm(path);
    await expect(Tokenizer.load(folder)).rejects.toThrow(/tokenizer\.json: is missing, expected/);
    await expect(Tokenizer.load("./none")).rejects.toThrow("./none: is missing, expected a folder in Hugging Face's");
    await expect(Tokenizer.load("LICENSE")).rejects.toThrow("LICENSE: is a file, expected a folder in Hugging Face's");
  });
});
