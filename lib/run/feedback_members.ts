import type { AskedMember } from "../feedback/ask_ensemble.js";
import { Budget, type Tally, type Usage } from "../feedback/budget.js";
import type { Member } from "../feedback/ensemble.js";
import type { Origin } from "../feedback/journal_lines.js";
import { toPrinciples, USUAL } from "../feedback/principles.js";
import { type FeedbackGenerateRecipe, nameOf } from "../recipe/feedback_generate.js";
import { openLocal, priceOf, reachEndpoint, samplingOf } from "./chat_models.js";
import type { LoadTextModel } from "./load_engine.js";

/** A model of a recipe, as far as drawing needs it. */
export interface RecipeMember extends Member {
  /** Which of the recipe's models it is. */
  readonly index: number;
}

/** Throws ConfigError for a principle that is none. */
export function readMembers(recipe: FeedbackGenerateRecipe): RecipeMember[] {
  const shared = toPrinciples(recipe.principles ?? USUAL, "principles");
  return recipe.models.map((one, index) => {
    const own = one.principles && toPrinciples(one.principles, `models.${index}.principles`);
    return { index, name: nameOf(one), weight: one.weight, principles: own ?? shared };
  });
}

/** What answers depend on: with anything else a journal is not gone on with. Where and how fast is not part of it. */
export function originOf(recipe: FeedbackGenerateRecipe): Origin {
  const members = readMembers(recipe).map(({ index, name, weight, principles }) => {
    const { model, endpoint, dtype, chat_template, temperature, top_p, max_tokens, stop, extra_body, send_seed } =
      recipe.models[index]!;
    const own = { model, is_local: endpoint === null, dtype, chat_template, send_seed, extra_body, weight };
    const texts = Object.fromEntries(principles.map(({ name, ...others }) => [name, others]));
    return [name, { ...own, temperature, top_p, max_tokens, stop, principles: texts }] as const;
  });
  const { seed, completions_per_prompt } = recipe;
  return { seed, completions_per_prompt, models: Object.fromEntries(members) };
}

/** A member that can be asked, and the tally of what it spends. */
export interface ReadyMember extends RecipeMember, AskedMember {
  readonly tally: Tally;
}

/** Most prompts that a model of this machine is asked at the same time; its engine lets those wait it has no room for. */
const LOCAL_CONCURRENCY = 256;

/** Throws ConfigError for an endpoint that cannot be asked. Models of this machine are loaded when it is their turn. */
export function makeReady(
  recipe: FeedbackGenerateRecipe,
  load: LoadTextModel,
  onLost: (model: string, usage: Usage) => void,
): ReadyMember[] {
  const { tokens, cost } = recipe.budget;
  const budget = new Budget({ tokens: tokens ?? undefined, cost: cost ?? undefined });
  return readMembers(recipe).map((member): ReadyMember => {
    const own = recipe.models[member.index]!;
    const sampling = samplingOf(own);
    if (own.endpoint === null) {
      const tally = new Budget().tally(); // it costs nothing, so that no budget counts it
      const asked = { tally, isLocal: true, sendsSeed: true, concurrency: LOCAL_CONCURRENCY };
      return { ...member, ...asked, sampling, open: () => openLocal(own, load, tally) };
    }
    const tally = budget.tally(priceOf(own), (usage) => onLost(member.name, usage));
    const model = reachEndpoint(own, { key: `models.${member.index}`, tally, grace: recipe.grace });
    const asked = { tally, isLocal: false, sendsSeed: own.send_seed, concurrency: own.concurrency };
    return { ...member, ...asked, sampling, open: async () => ({ model, async [Symbol.asyncDispose]() {} }) };
  });
}
