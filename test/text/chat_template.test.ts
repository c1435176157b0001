import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { ConfigError } from "../../lib/base/errors.js";
import { BUILTIN_TEMPLATES, type BuiltinTemplateName } from "../../lib/text/builtin_templates.js";
import { ChatTemplate, type Message, resolveChatTemplate, TemplateError } from "../../lib/text/chat_template.js";
import { strftime } from "../../lib/text/jinja.js";
import { Tokenizer } from "../../lib/text/tokenizer.js";
import { readJsonLines, sharedData } from "../shared_data.js";

const TOKENS = { bosToken: "<s>", eosToken: "</s>" };
const hello: Message[] = [{ role: "user", content: "Hi" }];
const render = (source: string): string => new ChatTemplate(source, TOKENS).render(hello);

interface Rendered {
  readonly template: string;
  readonly tokenizer: string;
  readonly bos_token?: string | null;
  readonly eos_token?: string | null;
  readonly messages: Message[];
  readonly add_generation_prompt: boolean;
  readonly rendered: string;
  readonly ids: number[];
}

test("the built-in templates render as transformers renders them", () => {
  const path = fileURLToPath(new URL("../fixtures/text/rendered.jsonl", import.meta.url));
  const rows = readJsonLines<Rendered>(path);
  expect(new Set(rows.map((row) => row.template))).toEqual(new Set(Object.keys(BUILTIN_TEMPLATES)));
  for (const row of rows) {
    const template = resolveChatTemplate(row.template, { chatTemplates: new Map(), ...TOKENS });
    const options = { addGenerationPrompt: row.add_generation_prompt };
    expect(template.render(row.messages, options), row.template).toBe(row.rendered);
  }
});

describe("golden_rendered.jsonl", () => {
  const path = sharedData("tokenizers/chat_templates/golden_rendered.jsonl");
  test.skipIf(path === undefined)("text and ids of 260 chats", async () => {
    const tokenizers = new Map<string, Tokenizer>();
    const rows = readJsonLines<Rendered>(path!);
    expect(rows).toHaveLength(260);
    for (const row of rows) {
      const source = readFileSync(sharedData(`tokenizers/chat_templates/${row.template}.jinja`)!, "utf8");
      const tokens = { bosToken: row.bos_token ?? undefined, eosToken: row.eos_token ?? undefined };
      const template = new ChatTemplate(source, tokens);
      expect(template.render(row.messages, { addGenerationPrompt: row.add_generation_prompt })).toBe(row.rendered);
      const folder = sharedData(`tokenizers/${row.tokenizer}`) ?? sharedData(`models/${row.tokenizer}`)!;
      const tokenizer = tokenizers.get(folder) ?? (await Tokenizer.load(folder, { rules: "file" }));
      tokenizers.set(folder, tokenizer);
      expect([...tokenizer.encode(row.rendered)]).toEqual(row.ids);
    }
  });

  test.skipIf(path === undefined).each(["zephyr", "chatml"])("the built-in %s is the file's", (name) => {
    for (const row of readJsonLines<Rendered>(path!).filter((each) => each.template === name)) {
      const tokens = { bosToken: row.bos_token ?? undefined, eosToken: row.eos_token ?? undefined };
      const template = new ChatTemplate(BUILTIN_TEMPLATES[name as BuiltinTemplateName], tokens);
      expect(template.render(row.messages, { addGenerationPrompt: row.add_generation_prompt })).toBe(row.rendered);
    }
  });
});

test("mistral's template gives the ids of Mistral's own example", async () => {
  const folder = sharedData("tokenizers/mistral-32k-chatml");
  if (folder === undefined) return;
  const sample = JSON.parse(readFileSync(`${folder}/mistral-common-no_tools/sample.json`, "utf8"));
  const ids = JSON.parse(readFileSync(`${folder}/mistral-common-no_tools/tokens_v1.json`, "utf8"));
  const template = new ChatTemplate(BUILTIN_TEMPLATES.mistral, TOKENS);
  const text = template.render(sample.messages ?? sample, { addGenerationPrompt: true });
  expect([...(await Tokenizer.load(folder)).encode(text)]).toEqual(ids.tokens ?? ids);
});

test("blocks take their line's blanks and newline with them", () => {
  expect(render("a\n  {% if true %}\n  b\n  {% endif %}\nc\n")).toBe("a\n  b\nc");
});

test("transformers' globals and filters are there", () => {
  expect(render("{{ messages | tojson }}")).toBe('[{"role": "user", "content": "Hi"}]');
  expect(render("{% for i in range(1, 6, 2) %}{{ i }}{% endfor %}")).toBe("135");
  expect(render("{{ strftime_now('%Y') }}")).toBe(String(new Date().getFullYear()));
  expect(render("{{ tools is none }} {{ nothing is defined }}")).toBe("true false");
  expect(strftime("%d %B %Y, %b %a %A %y-%m %H:%M:%S %I%p %j %%%Q", new Date(2024, 1, 5, 15, 4, 9))).toBe(
    "05 February 2024, Feb Mon Monday 24-02 15:04:09 03PM 036 %%Q",
  );
});

test("what a template refuses is a TemplateError with its words", () => {
  const refuse = () => render("{{ raise_exception('no ' + messages[0].role + ' here') }}");
  expect(refuse).toThrow(TemplateError);
  expect(refuse).toThrow("chat template: no user here");
  const twice = [...hello, ...hello];
  for (const name of ["llama2", "mistral"] as const) {
    expect(() => new ChatTemplate(BUILTIN_TEMPLATES[name], TOKENS).render(twice)).toThrow(
      /found user, expected assistant/,
    );
  }
});

test("a token the tokenizer lacks is named", () => {
  const template = new ChatTemplate(BUILTIN_TEMPLATES.zephyr, {});
  expect(() => template.render(hello)).toThrow(/it uses eos_token, which the tokenizer does not have/);
});

test("a template is a name, source, or the tokenizer's own, and zephyr where there is none", () => {
  const none = { chatTemplates: new Map<string, string>(), ...TOKENS };
  const several = { chatTemplates: new Map([["rag", "{{ 'rag' }}"]]), ...TOKENS };
  const own = { ...several, chatTemplate: "{{ 'own' }}" };
  expect(resolveChatTemplate("{{ 'source' }}", own).render(hello)).toBe("source");
  expect(resolveChatTemplate("rag", own).render(hello)).toBe("rag");
  expect(resolveChatTemplate("chatml", own).source).toBe(BUILTIN_TEMPLATES.chatml);
  expect(resolveChatTemplate(undefined, own).render(hello)).toBe("own");
  expect(resolveChatTemplate(null, none).source).toBe(BUILTIN_TEMPLATES.zephyr);
  expect(() => resolveChatTemplate(undefined, several)).toThrow(ConfigError);
  expect(() => resolveChatTemplate("zefyr", none)).toThrow(
    'chat_template: "zefyr", expected one of zephyr, chatml, llama2, llama3, mistral, or Jinja source',
  );
  expect(() => resolveChatTemplate("{% if %}", none)).toThrow(ConfigError);
});
