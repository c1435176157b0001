import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { DataError, ModelError } from "../../lib/base/errors.js";
import { encodeSft, type SftEncodeOptions, type TokenPair } from "../../lib/data/encode.js";
import { encodePairs, type PairEncodeOptions } from "../../lib/data/encode_pairs.js";
import { toPreferencePair, toSftRow } from "../../lib/data/row.js";
import type { SourceRow } from "../../lib/data/source.js";
import { loadRows } from "../../lib/data/source.js";
import { ChatTemplate, resolveChatTemplate } from "../../lib/text/chat_template.js";
import { Tokenizer } from "../../lib/text/tokenizer.js";
import { sharedData } from "../shared_data.js";

const TINY = fileURLToPath(new URL("../fixtures/text/tiny-llama", import.meta.url));
// u:CONTENT</s> a turn; the generation prompt opens the assistant's.
const PLAIN =
  "{% for m in messages %}{{ m.role[0] + ':' + m.content + eos_token }}{% endfor %}{% if add_generation_prompt %}a:{% endif %}";

let tokenizer: Tokenizer;
let template: ChatTemplate;
beforeAll(async () => {
  tokenizer = await Tokenizer.load(TINY);
  template = new ChatTemplate(PLAIN, tokenizer);
});

const source = (fields: Record<string, unknown>, index = 0): SourceRow => ({ source: "x.jsonl", index, fields });
const turn = (role: string, content: string) => ({ role, content });
const chat = {
  messages: [turn("user", "the cat"), turn("assistant", "sat"), turn("user", "Tom"), turn("assistant", "the dog")],
};

const sft = (fields: Record<string, unknown>, options: Partial<SftEncodeOptions> = {}) =>
  encodeSft([toSftRow(source(fields))], { tokenizer, template, ...options });
const pairs = (fields: Record<string, unknown>, options: Partial<PairEncodeOptions> = {}) =>
  encodePairs([toPreferencePair(source(fields))], { tokenizer, template, ...options });
const ids = (text: string, addSpecialTokens = false) => [...tokenizer.encode(text, { addSpecialTokens })];
const text = (tokens: Int32Array) => tokenizer.decode(tokens);
/** The text of what is learned, and "|" between what is not next to each other. */
const learned = ({ sequences: [row] }: ReturnType<typeof encodeSft>) =>
  Array.from(row!.ids, (id, i) => (row!.trainable[i] === 1 ? tokenizer.bytesOf(id).toString() : "|"))
    .join("")
    .replace(/\|+/g, "|");

describe("rows to fine-tune on", () => {
  test("a chat is rendered whole, without BOS, and learned whole", () => {
    const { sequences, ...counts } = sft(chat);
    expect(counts).toEqual({ dropped: 0, truncated: 0, straddled: 0 });
    expect([...sequences[0]!.ids]).toEqual(ids("u:the cat</s>a:sat</s>u:Tom</s>a:the dog</s>"));
    expect([...sequences[0]!.ids]).toEqual([
      287, 284, 265, 283, 292, 270, 268, 283, 2, 268, 265, 282, 268, 283, 2, 284, 265, 315, 277, 2, 268, 265, 283, 292,
      322, 273, 2,
    ]);
    expect(new Set(sequences[0]!.trainable)).toEqual(new Set([1]));
  });

  test("or only what the assistant says", () => {
    expect(learned(sft(chat, { assistantOnlyLoss: true }))).toBe("|sat</s>|the dog</s>");
  });

  test("plain text gets BOS and EOS, EOS once", () => {
    for (const content of ["the cat", "the cat</s>"]) {
      expect([...sft({ text: content }).sequences[0]!.ids]).toEqual([1, ...ids("the cat"), 2]);
    }
  });

  test("of a completion the prompt is not learned, unless asked for", () => {
    const words = { prompt: "the cat ", completion: "sat" };
    expect([...sft(words).sequences[0]!.ids]).toEqual([1, ...ids("the cat sat"), 2]);
    expect(learned(sft(words))).toBe("|sat</s>");
    expect(learned(sft(words, { completionOnlyLoss: false }))).toBe("<s> the cat sat</s>");
    const messages = { prompt: chat.messages.slice(0, 3), completion: chat.messages.slice(3) };
    expect(learned(sft(messages))).toBe("|the dog</s>");
    expect([...sft(messages).sequences[0]!.ids]).toEqual([...sft(chat).sequences[0]!.ids]);
  });

  test("an empty system message, where the template has a place for one", () => {
    const told = new ChatTemplate(`{# system #}${PLAIN}`, tokenizer);
    const withSystem = sft(chat, { template: told, insertEmptySystemMessage: true });
    expect(text(withSystem.sequences[0]!.ids)).toBe("s:</s>u:the cat</s>a:sat</s>u:Tom</s>a:the dog</s>");
    expect(sft(chat, { insertEmptySystemMessage: true })).toEqual(sft(chat));
    const own = { messages: [turn("system", "x"), ...chat.messages] };
    expect(sft(own, { template: told, insertEmptySystemMessage: true })).toEqual(sft(own, { template: told }));
  });

  test("longer rows keep their start or their end", () => {
    const whole = [1, ...ids("the cat sat"), 2];
    const [start, end] = [
      sft({ text: "the cat sat" }, { maxLength: 4 }),
      sft({ text: "the cat sat" }, { maxLength: 4, truncation: "keep_end" }),
    ];
    expect([...start.sequences[0]!.ids]).toEqual(whole.slice(0, 4));
    expect([...end.sequences[0]!.ids]).toEqual(whole.slice(-4));
    expect([start.truncated, end.truncated]).toEqual([1, 1]);
    expect(sft({ text: "the cat sat" }, { maxLength: whole.length }).truncated).toBe(0);
  });

  test("rows with nothing left to learn are dropped and counted", () => {
    const rows = [
      { prompt: "the cat sat on the mat", completion: " and" },
      { prompt: "the", completion: " cat" },
    ].map((fields, i) => toSftRow(source(fields, i)));
    const { sequences, dropped, truncated } = encodeSft(rows, { tokenizer, template, maxLength: 6 });
    expect(sequences.map(({ place }) => place.index)).toEqual([1]);
    expect({ dropped, truncated }).toEqual({ dropped: 1, truncated: 0 });
    expect(() => encodeSft(rows.slice(0, 1), { tokenizer, template, maxLength: 6 })).toThrow(
      "x.jsonl:1: this and every other row has nothing to learn within max_length 6",
    );
  });

  test("a row's first token is nothing to learn, since none comes before it", () => {
    for (const truncation of ["keep_start", "keep_end"] as const) {
      expect(() => sft({ text: "the cat sat" }, { maxLength: 1, truncation })).toThrow(
        "x.jsonl:1: this and every other row has nothing to learn within max_length 1",
      );
    }
    const rows = ["", "the"].map((content, i) => toSftRow(source({ prompt: "sat", completion: content }, i)));
    const kept = encodeSft(rows, { tokenizer, template, maxLength: 2, truncation: "keep_end" });
    expect(kept.sequences.map(({ place, trainable }) => [place.index, ...trainable])).toEqual([
      [0, 0, 1],
      [1, 1, 1],
    ]);
    const cut = (maxLength: number) => encodeSft(rows, { tokenizer, template, maxLength, truncation: "keep_end" });
    expect(() => cut(1)).toThrow(DataError);
  });

  test("a template's refusal names the row", () => {
    const strict = new ChatTemplate("{{ raise_exception('roles must alternate') }}", tokenizer);
    expect(() => sft(chat, { template: strict })).toThrow(DataError);
    expect(() => sft(chat, { template: strict })).toThrow("x.jsonl:1: chat template: roles must alternate");
  });

  test("plain text without an end of text to put behind it", async () => {
    const endless = Object.create(tokenizer, { eosToken: { value: undefined } }) as Tokenizer;
    expect(() => sft({ text: "the" }, { tokenizer: endless })).toThrow(ModelError);
  });
});

describe("preference pairs", () => {
  const fields = {
    prompt: [turn("user", "the cat")],
    chosen: [turn("assistant", "sat")],
    rejected: [turn("assistant", "the dog")],
  };
  const prompt = [287, 284, 265, 283, 292, 270, 268, 283, 2, 268, 265];
  const [chosen, rejected] = [
    [282, 268, 283, 2],
    [283, 292, 322, 273, 2],
  ];
  const plain = ({ pairs: [first] }: { pairs: TokenPair[] }) =>
    [first!.prompt, first!.chosen, first!.rejected].map((part) => [...part]);

  test("the prompt with the generation prompt, and the two answers", () => {
    const { pairs: encoded, ...counts } = pairs(fields);
    expect(counts).toEqual({ dropped: 0, truncated: 0, straddled: 0 });
    expect(plain({ pairs: encoded })).toEqual([prompt, chosen, rejected]);
    expect(text(encoded[0]!.prompt)).toBe("u:the cat</s>a:");
  });

  test("plain text gets BOS and EOS", () => {
    expect(plain(pairs({ prompt: "the cat ", chosen: "sat", rejected: "and the dog</s>" }))).toEqual([
      [1, 296, 299],
      [282, 268, 283, 2],
      [298, 323, 322, 273, 2],
    ]);
  });

  test("max_prompt_length keeps the end of the prompt", () => {
    const { truncated, ...rest } = pairs(fields, { maxPromptLength: 3 });
    expect(plain(rest)).toEqual([prompt.slice(-3), chosen, rejected]);
    expect(truncated).toBe(1);
    expect(pairs(fields, { maxPromptLength: 11 }).truncated).toBe(0);
  });

  test("keep_start cuts the answers", () => {
    expect(plain(pairs(fields, { maxLength: 14 }))).toEqual([prompt, chosen.slice(0, 3), rejected.slice(0, 3)]);
    expect(plain(pairs(fields, { maxLength: 12 }))).toEqual([prompt, chosen.slice(0, 1), rejected.slice(0, 1)]);
    expect(pairs(fields, { maxLength: 15 }).truncated).toBe(1);
    expect(pairs(fields, { maxLength: 16 }).truncated).toBe(0);
  });

  test("keep_end cuts the prompt to what the longer answer leaves, and then the answers", () => {
    const keepEnd = (maxLength: number) => plain(pairs(fields, { maxLength, truncation: "keep_end" }));
    expect(keepEnd(16)).toEqual([prompt, chosen, rejected]);
    expect(keepEnd(8)).toEqual([prompt.slice(-3), chosen, rejected]);
    expect(keepEnd(4)).toEqual([prompt.slice(-1), chosen.slice(-3), rejected.slice(-3)]);
    expect(keepEnd(2)).toEqual([prompt.slice(-1), chosen.slice(-1), rejected.slice(-1)]);
  });

  test("a prompt that fills max_length is dropped and counted, unless it is the only one", () => {
    const long = { ...fields, prompt: [turn("user", "the cat sat on the mat")] };
    const rows = [long, fields].map((each, i) => toPreferencePair(source(each, i)));
    const { pairs: kept, dropped } = encodePairs(rows, { tokenizer, template, maxLength: 13 });
    expect([kept.length, kept[0]!.place.index, dropped]).toEqual([1, 1, 1]);
    expect(pairs(long, { maxLength: 14 }).pairs[0]!.chosen).toHaveLength(1);
    expect(() => pairs(long, { maxLength: 13 })).toThrow(
      "x.jsonl:1: max_length 13 leaves no room for an answer to this and every other prompt (the longest has 13 tokens); expected a larger max_length",
    );
  });

  test("a prompt that is not the beginning of prompt and answer is refused with both texts", () => {
    const thinking = new ChatTemplate(PLAIN.replace("a:{% endif %}", "a:think{% endif %}"), tokenizer);
    expect(() => pairs(fields, { template: thinking })).toThrow(
      'x.jsonl:1: chat template: the prompt is not how the whole chat begins: at character 16 it has "u:the cat</s>a:think", the chat "u:the cat</s>a:sat</s>"',
    );
  });

  test("a token across the end of the prompt: TRL's splice, or exact texts", () => {
    const words = { prompt: "the ca", chosen: "t sat", rejected: "r" };
    const trl = pairs(words);
    expect(trl.straddled).toBe(1);
    const own = [1, ...ids("the ca")];
    const [better, worse] = [
      [1, ...ids("the cat sat"), 2],
      [1, ...ids("the car"), 2],
    ];
    expect(plain(trl)).toEqual([own, better.slice(own.length), worse.slice(own.length)]);
    const exact = pairs(words, { promptBoundary: "exact" });
    const [shared, good, bad] = plain(exact);
    expect([...shared!, ...good!]).toEqual(better);
    expect([...shared!, ...bad!]).toEqual(worse);
    expect(shared!.length).toBeLessThan(own.length);
  });
});

interface Recorded {
  readonly max_length: number;
  readonly dropped: number[];
  readonly longer_than_max_length: number[];
  readonly kept: number;
  readonly first: {
    row: number;
    prompt_ids: number[];
    chosen_ids: number[];
    rejected_ids: number[];
    input_ids: number[];
    trainable?: number[];
  }[];
}

describe("TRL's own tokens", () => {
  const recorded = (name: string) =>
    JSON.parse(readFileSync(new URL(`../golden/trl/tokens-${name}.json`, import.meta.url), "utf8")) as Recorded;
  const zephyr = async (model: string) => {
    const loaded = await Tokenizer.load(sharedData(`models/${model}`)!);
    return { tokenizer: loaded, template: resolveChatTemplate("zephyr", loaded) };
  };

  test.skipIf(sharedData("models") === undefined).each(["stories-260k", "tinystories-656k"])(
    "dpo, %s",
    async (model) => {
      const trl = recorded(`dpo-${model}`);
      const rows = (await loadRows(sharedData("stories/preferences_train.jsonl")!)).map(toPreferencePair);
      const {
        pairs: encoded,
        dropped,
        truncated,
        straddled,
      } = encodePairs(rows, { ...(await zephyr(model)), maxLength: trl.max_length });
      expect([encoded.length, dropped, truncated]).toEqual([
        trl.kept,
        trl.dropped.length,
        trl.longer_than_max_length.length,
      ]);
      expect(straddled > 0).toBe(model === "tinystories-656k");
      for (const [i, first] of trl.first.entries()) {
        const { prompt, chosen, rejected, place } = encoded[i]!;
        expect(place.index).toBe(first.row);
        expect([prompt, chosen, rejected].map((part) => [...part])).toEqual([
          first.prompt_ids,
          first.chosen_ids,
          first.rejected_ids,
        ]);
      }
    },
  );

  test.skipIf(sharedData("models") === undefined).each([
    ["sft-stories-260k", "stories-260k"],
    ["sft-tinystories-656k", "tinystories-656k"],
    ["sft-tinystories-656k-completion", "tinystories-656k"],
    ["sft-tinystories-656k-assistant", "tinystories-656k"],
  ])("%s", async (name, model) => {
    const trl = recorded(name);
    const { tokenizer: used, template: rendered } = await zephyr(model);
    // As TRL's run had it: the newline after EOS lies outside the block.
    const marked = rendered.source.replace(
      "{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n",
      "{{ '<|assistant|>\n' }}{% generation %}{{ message['content'] + eos_token }}{% endgeneration %}\n\n",
    );
    const assistantOnlyLoss = name.endsWith("assistant");
    const rows = (await loadRows(sharedData("stories/sft_train.jsonl")!)).map((row) => {
      const { messages } = row.fields as { messages: object[] };
      const split = { prompt: messages.slice(0, -1), completion: messages.slice(-1) };
      return toSftRow({ ...row, fields: name.endsWith("completion") ? split : { messages } });
    });
    const { sequences, dropped, truncated } = encodeSft(rows, {
      tokenizer: used,
      template: assistantOnlyLoss ? new ChatTemplate(marked, used) : rendered,
      maxLength: trl.max_length,
      assistantOnlyLoss,
    });
    expect([sequences.length, dropped, truncated]).toEqual([
      trl.kept,
      trl.dropped.length,
      trl.longer_than_max_length.length,
    ]);
    for (const [i, first] of trl.first.entries()) {
      const { ids: tokens, trainable, place } = sequences[i]!;
      expect(place.index).toBe(first.row);
      expect([...tokens]).toEqual(first.input_ids);
      expect([...trainable]).toEqual(first.trainable ?? first.input_ids.map(() => 1));
    }
  });
});
