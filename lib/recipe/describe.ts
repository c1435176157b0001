import { z } from "zod";
import { feedbackBinarizeSchema } from "./feedback_binarize.js";
import { IGNORED } from "./keys_ignored.js";
import { showValue } from "./problems.js";
import { ALIASES, type RecipeKind, SCHEMAS, SECTIONS } from "./schema.js";
import { entryOf, innermost, phraseOf } from "./values.js";

/** One key of the recipe language. */
export interface KeyDoc {
  readonly key: string;
  readonly section: string;
  /** The recipes that have it. */
  readonly kinds: readonly RecipeKind[];
  /** What a value has to be, in words. */
  readonly type: string;
  /** The default in YAML; for both kinds of recipe where they differ; `needed` where there is none. */
  readonly default: string;
  readonly doc: string;
}

/** Every key with a meaning, in reading order. `loss_type` stands there twice: it means one thing for sft, another for dpo. */
export function recipeKeys(): KeyDoc[] {
  return SECTIONS.flatMap(({ title, kinds: among, keys }) =>
    Object.entries(keys).map(([key, schema]) => {
      const kinds = among.filter((kind) => Object.hasOwn(SCHEMAS[kind].shape, key));
      const defaults = kinds.map((kind) => showDefault(schemaOf(kind, key)));
      const [first, second = first] = defaults;
      return {
        key,
        section: title,
        kinds,
        type: phraseOf(schema),
        default: first === second ? first! : `sft ${first}, dpo ${second}`,
        doc: schema.description ?? "",
      };
    }),
  );
}

const schemaOf = (kind: RecipeKind, key: string): z.ZodType =>
  (SCHEMAS[kind].shape as Record<string, z.ZodType>)[key] as z.ZodType;

function showDefault(schema: z.ZodType): string {
  const { data, success } = schema.safeParse(undefined);
  if (!success) return "needed";
  return innermost(schema) instanceof z.ZodObject && data !== null ? "all null" : showYaml(data);
}

function showYaml(value: unknown): string {
  if (typeof value === "number" && value > 0 && value < 1e-3) return value.toExponential();
  return typeof value === "string" ? value : showValue(value);
}

/** The text of docs/recipes.md. */
export function renderRecipeDocs(): string {
  const keys = recipeKeys();
  const sections = SECTIONS.map(({ title }) => {
    const own = keys.filter((key) => key.section === title);
    return [`## ${title}`, ...(INTRODUCTIONS[title] ?? []), table(own.map(rowOf))].join("\n\n");
  });
  const inside = nestedMappings().map(({ title, schema }) => `## ${title}\n\n${keyTable(schema)}`);
  const aliases = Object.entries(ALIASES).map(([alias, key]) => `\`${alias}\` is \`${key}\``);
  return `${[
    HEAD,
    `Other spellings: ${aliases.join(", ")}.`,
    ...sections,
    ...inside,
    "## Files of rows",
    FILES,
    "## Recipes of `westwind align`",
    ALIGN,
    keyTable(feedbackBinarizeSchema),
    "## Keys that change nothing",
    "They may have any value. A run lists those it was given, each with its reason.",
    ignoredList(),
  ].join("\n\n")}\n`;
}

/** The table of a schema's keys, for docs. */
export const keyTable = (schema: z.ZodObject): string => table(entriesOf(schema));

interface Row {
  readonly key: string;
  readonly type: string;
  readonly default: string;
  readonly doc: string;
}

function nestedMappings(): { title: string; schema: z.ZodObject }[] {
  const mixture = innermost(schemaOf("sft", "dataset_mixture")) as z.ZodObject;
  const parts = innermost(entryOf(mixture, "datasets")!) as z.ZodArray<z.ZodObject>;
  return [
    { title: "Entries of `dataset_mixture`", schema: mixture },
    { title: "Entries of `dataset_mixture.datasets`", schema: parts.element },
    {
      title: "Entries of `lr_scheduler_kwargs`",
      schema: innermost(schemaOf("sft", "lr_scheduler_kwargs")) as z.ZodObject,
    },
  ];
}

function entriesOf(schema: z.ZodObject): Row[] {
  return Object.entries(schema.shape as Record<string, z.ZodType>).map(([key, entry]) => ({
    key,
    type: phraseOf(entry),
    default: showDefault(entry),
    doc: entry.description ?? "",
  }));
}

function rowOf({ key, kinds, section, type, default: value, doc }: KeyDoc): Row {
  const isOnly = kinds.length === 1 && section !== "SFT" && section !== "DPO";
  return { key, type, default: value, doc: isOnly ? `${kinds[0]} only. ${doc}` : doc };
}

function table(rows: readonly Row[]): string {
  const cells = (row: Row) =>
    [`\`${row.key}\``, row.type, row.default, row.doc].map((cell) => cell.replaceAll("|", "\\|"));
  const lines = rows.map((row) => `| ${cells(row).join(" | ")} |`);
  return ["| key | value | default | meaning |", "|---|---|---|---|", ...lines].join("\n");
}

function ignoredList(): string {
  const reasons = [...new Set(IGNORED.values())];
  const keysFor = (reason: string) => [...IGNORED].flatMap(([key, other]) => (other === reason ? [`\`${key}\``] : []));
  return reasons.map((reason) => `- ${reason}: ${keysFor(reason).join(", ")}`).join("\n");
}

const HEAD = `# Recipes

A recipe is a YAML file in the language of TRL and the alignment-handbook: their keys, their defaults.

    westwind sft recipes/sft.yaml --model_name_or_path=models/base --dataset_name=chats.jsonl --output_dir=out/sft
    westwind dpo recipes/dpo.yaml --model_name_or_path=out/sft --dataset_name=pairs.jsonl --output_dir=out/dpo

- A command line's \`--key=value\` or \`--key value\` goes before the file; a bare \`--key\` means true. Values are YAML:
  \`--dataset_splits=[train, test]\`. Where a key wants text, the text is taken as it stands.
- Dots lead into mappings and lists: \`--dataset_mixture.seed=1\`, \`--dataset_mixture.datasets.0.weight=0.5\`.
- Of \`dataset_name\`, \`dataset_mixer\` and \`dataset_mixture\` one is needed. One given on the command line takes the
  place of another in the file; so it is with \`warmup_ratio\` and \`warmup_steps\`, and with the two ways to name splits.
- Paths are relative to the current directory, not to the recipe, as in the alignment-handbook. What is
  no path of this machine and looks like \`owner/name\` is found on the hub: [hub.md](hub.md).
- Unknown keys, wrong types and keys given twice are errors, all told at once, each with its line.
- Keys of features that are not here parse, so that any handbook recipe can be read; a run that needs one is refused.`;

const FILES = `| name | rows |
|---|---|
| \`.jsonl\`, \`.ndjson\` | an object in JSON a line; blank lines are passed over |
| \`.json\` | an array of objects |
| \`.csv\` | names in the first line, commas, quotes where a value has commas, quotes or line ends. Every value is text, but a list of messages in JSON (\`[{"role": "user", "content": "Hi"}]\`) is one |
| \`.parquet\` | its columns, with lists and structs; packed by snappy, gzip, zstd, brotli or lz4. Integers beyond 2^53 become text, times ISO text in UTC, bytes the text they hold |

The first three may also be packed, as \`.jsonl.gz\` or \`.csv.zst\`. Text is UTF-8. Files are streamed, so they may be larger than
memory; of a \`.parquet\` file only the pages and columns that are asked for are read. A row has 64 MiB at most. Errors say the file and line, of \`.json\`
and \`.parquet\` the row, counted from 1.

Of a folder, those files are read that are named for the split, as the Hugging Face hub lays them out:

- \`train.jsonl\`, \`train-00000-of-00002.parquet\`, or \`train/0000.parquet\` for \`train\`; where there is none, those that begin so, as
  \`train_prefs-00000-of-00001.parquet\`; for \`train\`, all files where none is named for any split. Where there is no \`test\`, it is
  \`validation\`, and the other way round.
- In the folder itself, else in its \`data\`, else in the folder \`default\`, else in the only other one. Of several configurations
  the folder of one is to be named.
- It is an error if several splits begin so (\`train_sft\` and \`train_gen\`), or if a split is there in several kinds of files.`;

const ALIGN = `One file for all stages, in the sections \`sft\`, \`feedback\` and \`dpo\`; each may be missing. The keys of \`sft\` and
\`dpo\` are those above; keys outside of the sections hold for both, and a section's own go before them. On the command
line: \`--sft.learning_rate=1e-5\`, \`--seed=1\`. What is left open follows from the stages:

- with a top-level \`output_dir\`, \`sft\` and \`dpo\` write to the folders \`sft\` and \`dpo\` in it, and those of \`feedback\` to
  \`feedback/completions.jsonl\`, \`scored.jsonl\` and \`pairs.jsonl\`, of which each is what the next one reads;
- with a section \`sft\`, the model of \`dpo\` is the one \`sft\` saves; a top-level \`model_name_or_path\` is the base model;
- with a section \`feedback.binarize\`, the data set of \`dpo\` is what it writes; a top-level data set is that of \`sft\`.

\`feedback\` has the sections \`generate\`, \`score\` and \`binarize\`, and each may be missing. The keys of the first two are those of
\`westwind feedback generate\` and \`westwind feedback score\`: [feedback.md](feedback.md). Models may be named that \`sft\` saves,
as \`OUT/sft\`, or on its way, as \`OUT/sft/checkpoint-100\`. The keys of \`binarize\`:`;

const INTRODUCTIONS: Readonly<Record<string, readonly string[]>> = {
  "Not in this version": [
    "Any value but the default is refused before a run; the `lora_` keys are settings of `use_peft` and not looked at without it.",
  ],
};
