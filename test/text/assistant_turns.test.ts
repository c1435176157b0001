import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { maskAssistant } from "../../lib/text/assistant_turns.js";
import { BUILTIN_TEMPLATES } from "../../lib/text/builtin_templates.js";
import { ChatTemplate, type Message } from "../../lib/text/chat_template.js";
import { Tokenizer } from "../../lib/text/tokenizer.js";
import { readJsonLines, sharedData } from "../shared_data.js";

const TINY = fileURLToPath(new URL("../fixtures/text/tiny-llama", import.meta.url));
const TOKENS = { bosToken: "<s>", eosToken: "</s>" };
const say = (...turns: [string, string][]): Message[] => turns.map(([role, content]) => ({ role, content }));

/** The text with what is learned in brackets. */
async function learned(source: string, messages: Message[], tokenizer?: Tokenizer): Promise<string> {
  const used = tokenizer ?? (await Tokenizer.load(TINY));
  const { ids, mask } = maskAssistant(used, new ChatTemplate(source, TOKENS), messages);
  const parts: Buffer[] = [];
  ids.forEach((id, i) => {
    if (mask[i] === 1 && (i === 0 || mask[i - 1] === 0)) parts.push(Buffer.from("["));
    if (mask[i] === 0 && i > 0 && mask[i - 1] === 1) parts.push(Buffer.from("]"));
    parts.push(used.bytesOf(id));
  });
  if (mask.at(-1) === 1) parts.push(Buffer.from("]"));
  return Buffer.concat(parts).toString();
}

const chat = say(["user", "hi"], ["assistant", "the cat"], ["user", "é?"], ["assistant", "日 sat "]);

describe("the turns of a chat", () => {
  test("zephyr: from the generation prompt to the newline after EOS", async () => {
    expect(await learned(BUILTIN_TEMPLATES.zephyr, chat)).toBe(
      " <|user|>\nhi</s>\n<|assistant|>\n[the cat</s>\n]<|user|>\né?</s>\n<|assistant|>\n[日 sat </s>\n]",
    );
  });

  test("llama2: the answer and its EOS", async () => {
    expect(await learned(BUILTIN_TEMPLATES.llama2, chat)).toBe(
      "<s>[INST] hi [/INST][ the cat </s>]<s>[INST] é? [/INST][ 日 sat </s>]",
    );
  });

  test("two assistant turns in a row, and one that opens the chat", async () => {
    const template =
      "{% for m in messages %}{{ m.role[0] + ':' + m.content + eos_token }}{% endfor %}{% if add_generation_prompt %}a:{% endif %}";
    const turns = say(["user", "x"], ["assistant", "y"], ["assistant", "z"], ["user", "x"]);
    expect(await learned(template, turns)).toBe(" u:x</s>a:[y</s>]a:[z</s>]u:x</s>");
    expect(await learned(template, say(["assistant", "y"], ["user", "x"]))).toBe("[ a:y</s>]u:x</s>");
  });

  test("a template that closes only the last turn", async () => {
    const phi =
      "{% for m in messages %}{{ '<|' + m.role + '|>' + m.content + '<|end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% else %}{{ eos_token }}{% endif %}";
    expect(await learned(phi, chat)).toBe(
      " <|user|>hi<|end|><|assistant|>[the cat<|end|>]<|user|>é?<|end|><|assistant|>[日 sat <|end|></s>]",
    );
  });

  test("a chat without an assistant teaches nothing", async () => {
    expect(await learned(BUILTIN_TEMPLATES.zephyr, say(["user", "hi"]))).toBe(" <|user|>\nhi</s>\n");
  });

  test("{% generation %} blocks say what is learned, white space control included", async () => {
    const begin = "{% for m in messages %}{% if m.role == 'user' %}u:{{ m.content }};{% else %}a:";
    const end = ";{% endif %}{% endfor %}";
    const chats = say(["user", "x"], ["assistant", "y"], ["user", "x"], ["assistant", "z"]);
    expect(await learned(`${begin}{% generation %}{{ m.content }}{% endgeneration %}${end}`, chats)).toBe(
      " u:x;a:[y];u:x;a:[z];",
    );
    const spaced = `${begin}\n  {% generation %}\n{{ m.content }}!\n  {%- endgeneration -%}\n ${end}`;
    expect(await learned(spaced, chats)).toBe(" u:x;a:\n[y!];u:x;a:\n[z!];");
  });
});

test("the blank a tokenizer puts before a word belongs to the word", async () => {
  const bare = "{% for m in messages %}{{ m.content + eos_token }}{% endfor %}";
  const tokenizer = await Tokenizer.load(TINY, { rules: "file" });
  const turns = say(["user", "Tom"], ["assistant", "\nthe"], ["user", "\nTom"]);
  expect(await learned(bare, turns, tokenizer)).toBe(" Tom</s>[ \nthe</s>] \nTom</s>");
});

test("a text with the letter that spells blanks", async () => {
  const letter = say(["user", "the▁cat"], ["assistant", "▁sat▁"]);
  expect(await learned(BUILTIN_TEMPLATES.zephyr, letter)).toBe(" <|user|>\nthe cat</s>\n<|assistant|>\n[ sat </s>\n]");
});

test.skipIf(sharedData("tokenizers/qwen2.5") === undefined)("a tokenizer that composes characters", async () => {
  const tokenizer = await Tokenizer.load(sharedData("tokenizers/qwen2.5")!);
  const composed = say(["user", "e\u0301"], ["assistant", "a\u0301b"], ["user", "o\u0308"], ["assistant", "ok"]);
  expect(await learned(BUILTIN_TEMPLATES.chatml, composed, tokenizer)).toBe(
    "<|im_start|>user\n\u00e9<|im_end|>\n<|im_start|>assistant\n[\u00e1b<|im_end|>\n]<|im_start|>user\n\u00f6<|im_end|>\n<|im_start|>assistant\n[ok<|im_end|>\n]",
  );
});

test("a prompt that is not the beginning of the chat is refused, with both texts", async () => {
  const hidden =
    "{% for m in messages %}{{ m.role }}={{ m.content if loop.last else 'seen' }};{% endfor %}{% if add_generation_prompt %}assistant={% endif %}";
  await expect(learned(hidden, chat)).rejects.toThrow(
    'chat template: the prompt of message 2 is not how the whole chat begins: at character 6 it has "user=hi;assistant=", the chat "user=seen;assistant=seen',
  );
  const thinking = `${BUILTIN_TEMPLATES.zephyr.replace("'<|assistant|>' }}", "'<|assistant|>' + '<think>' }}")}`;
  await expect(learned(thinking, chat)).rejects.toThrow(/at character 3\d it has ".*<think>/);
});

describe("against the turns' texts", () => {
  const folders = [
    "tokenizers/mistral-32k-chatml",
    "tokenizers/qwen2.5",
    "tokenizers/phi3-llama2-32k",
    "models/stories-260k",
  ];
  test.skipIf(sharedData("sft/test.jsonl") === undefined).each(folders)(
    "%s: real chats of many turns",
    async (name) => {
      const rows = readJsonLines<{ messages: Message[] }>(sharedData("sft/test.jsonl")!).filter(
        (row) => row.messages.length > 3,
      );
      expect(rows.length).toBeGreaterThan(20);
      const tokenizer = await Tokenizer.load(sharedData(name)!);
      const template = new ChatTemplate(BUILTIN_TEMPLATES.zephyr, { eosToken: tokenizer.eosToken });
      for (const { messages } of rows.slice(0, 40)) {
        const { ids, mask } = maskAssistant(tokenizer, template, messages);
        const bytes: Buffer[] = [];
        ids.forEach((id, i) => {
          if (mask[i] === 1) bytes.push(tokenizer.bytesOf(id));
        });
        const answers = messages.filter(({ role }) => role === "assistant");
        const expected = answers.map(({ content }) => `${content}${tokenizer.eosToken}\n`).join("");
        // A blank that the tokenizer itself puts behind a special token is in the tokens and not in the text.
        const blanks = (text: string) => text.replaceAll(`${tokenizer.eosToken} \n`, `${tokenizer.eosToken}\n`);
        expect(blanks(Buffer.concat(bytes).toString())).toBe(
          name.includes("qwen") ? expected.normalize("NFC") : expected,
        );
      }
    },
  );
});
