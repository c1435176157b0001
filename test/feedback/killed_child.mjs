// What `westwind feedback generate` does, without what takes long to load: asks the models a to d of an endpoint and writes
// the rows. Arguments: the endpoint's address, how many prompts, the output.
import { writeFileAtomic } from "../../dist/base/files.js";
import { KeptAnswers } from "../../dist/feedback/answers.js";
import { askEnsemble } from "../../dist/feedback/ask_ensemble.js";
import { Budget } from "../../dist/feedback/budget.js";
import { completionRows } from "../../dist/feedback/completion_rows.js";
import { endpointModel } from "../../dist/feedback/endpoint.js";
import { drawWork } from "../../dist/feedback/plan.js";
import { toFeedbackPrompt } from "../../dist/feedback/prompts.js";

const [url, count, output] = process.argv.slice(2);
const fields = Array.from({ length: Number(count) }, (_, i) => ({ prompt: `number ${i}` }));
const prompts = fields.map((fields, index) => toFeedbackPrompt({ source: "prompts", index, fields }));
const members = ["a", "b", "c", "d"].map((name) => ({
  ...{ name, weight: 1, principles: [], concurrency: 3, isLocal: false, sampling: { maxTokens: 5 }, sendsSeed: false },
  open: async () => ({
    model: endpointModel({ url, model: name, firstWait: 1, mostWait: 2, timeout: 80 }, new Budget().tally()),
    async [Symbol.asyncDispose]() {},
  }),
}));
const draw = { seed: 1, count: 2 };
const work = drawWork(prompts, members, draw);
const answers = await KeptAnswers.open(`${output}.journal`, { seed: 1 });
await askEnsemble(work, answers, { seed: 1, failuresInARow: 20, retryFailed: false });
const lines = [...completionRows(prompts, members, answers, draw)].map((row) => `${JSON.stringify(row)}\n`);
await writeFileAtomic(output, lines.join(""));
await answers.close();
