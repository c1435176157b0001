import { foreignSpans } from "./code_text.js";
import type { Dialogue } from "./dialogue.js";
import { ABBREVIATIONS, AFTER_I, BEFORE_I, BEFORE_VARIABLE, MODALS, PROGRAMS } from "./truecase_words.js";

const LOWER = "a-zß-öø-ÿā-ɏά-ώа-џա-ֆ"; // letters of scripts that write sentences so
const BEGINNING = new RegExp(`^\\s*[${LOWER}](?=\\S*(?:[ \\t]+\\S+){4})`);
const SENTENCE = new RegExp(`[.!?][ \\t]+[${LOWER}]`, "g");
const LONE_I = /\bi\b/g;
const OTHER_VARIABLE = /(?<![\w'’])[jkn](?![\w'’])/; // where one of these stands alone, "i" is likely another

/** A dialogue with its sentences' capital letters, or the very same where none is missing. What the system says stays. */
export function truecaseDialogue(dialogue: Dialogue): Dialogue {
  const messages = dialogue.messages.map((message) => {
    const content = message.role === "system" ? message.content : truecase(message.content);
    return content === message.content ? message : { ...message, content };
  });
  if (messages.every((message, i) => message === dialogue.messages[i])) return dialogue;
  return { ...dialogue, messages, prompt: messages.find(({ role }) => role === "user")!.content };
}

/**
 * Gives sentences their capital letter, and the "i" of the speaker. Our own heuristics; they change nothing but the case of
 * letters, and leave a text alone that they have been over. A letter becomes a capital
 *
 * - where a text begins with a line of at least five words, and after `.`, `!` or `?` and blanks, if the word there is a
 *   plain one: small letters, with no digit, dot, slash or underscore in it;
 * - as a lone "i" beside a verb or another word that tells it from a variable ("can i", "i have", "i'm"), except behind
 *   what names a variable ("the index i can") and, but for "i'm" and its like, in a text with a lone j, k or n.
 *
 * What stays: code in fences and backticks, and without where its signs show it; formulas, tags, addresses; what follows an
 * abbreviation, an initial, a number with a stop (of a list), an ellipsis, a quotation that ends with its own mark or a line
 * break; what begins with a quotation mark; programs' names; lists' letters ("a.") and variables of one letter.
 */
export function truecase(text: string): string {
  const candidates = candidatesOf(text);
  if (candidates.length === 0) return text;
  const spans = foreignSpans(text);
  let [result, copied, nextSpan, foreignUntil] = ["", 0, 0, 0];
  for (const at of candidates) {
    for (; nextSpan < spans.length && spans[nextSpan]![0] <= at; nextSpan++) {
      foreignUntil = Math.max(foreignUntil, spans[nextSpan]![1]);
    }
    const capital = capitalOf(text[at]!);
    if (capital === undefined || at < foreignUntil) continue;
    result += text.slice(copied, at) + capital;
    copied = at + 1;
  }
  return copied === 0 ? text : result + text.slice(copied);
}

/** Places of letters that should be capitals, were the text all prose, in order. */
function candidatesOf(text: string): number[] {
  const places: number[] = [];
  const first = BEGINNING.exec(text);
  if (first !== null && isPlainWord(text, first[0].length - 1)) places.push(first[0].length - 1);
  for (const { index, 0: found } of text.matchAll(SENTENCE)) {
    const at = index + found.length - 1;
    if (endsSentence(text, index) && isPlainWord(text, at)) places.push(at);
  }
  const hasVariables = OTHER_VARIABLE.test(text);
  for (const { index } of text.matchAll(LONE_I)) {
    if (isSpeaker(text, index, hasVariables)) places.push(index);
  }
  return [...new Set(places)].sort((a, b) => a - b);
}

/** Whether the mark at `at` ends a sentence. */
function endsSentence(text: string, at: number): boolean {
  let begin = at;
  while (begin > 0 && !/\s/.test(text[begin - 1]!)) begin--;
  const word = text.slice(begin, at).replace(/^["'“‘([*_]+|["'”’)\]*_]+$/g, "");
  if (word === "" || word.endsWith(".") || word.endsWith("…")) return false;
  if (text[at] !== ".") return true;
  return !(word.length === 1 || word.includes(".") || /^\d+$/.test(word) || ABBREVIATIONS.has(word.toLowerCase()));
}

/** Whether the word that begins at `at` is one that a sentence may begin with: no name, identifier, variable or list letter. */
function isPlainWord(text: string, at: number): boolean {
  const [written] = /^\S+/.exec(text.slice(at, at + 60))!;
  const word = written.replace(/[,;:.!?…)"'”’\]*]+$/, "");
  if (word.length === 1) return (word === "a" || word === "i") && written === word;
  return /^\p{Ll}+(?:['’-]\p{Ll}+)*$/u.test(word) && !PROGRAMS.has(word);
}

/** Whether the "i" at `at` is who speaks. */
function isSpeaker(text: string, at: number, hasVariables: boolean): boolean {
  if (at > 0 && !/[\s"“(]/.test(text[at - 1]!)) return false;
  const after = text.slice(at + 1, at + 20);
  if (/^['’](?:m|ve|ll|d)(?![\w'’])/i.test(after)) return true;
  const next = plain(/^ ([a-z]+(?:['’]t)?)(?![\w'’])/i.exec(after)?.[1]);
  if (hasVariables || next === undefined) return false;
  const before = plain(/(?:^|[\s"“(])([a-z]+(?:['’]t)?) $/i.exec(text.slice(Math.max(0, at - 20), at))?.[1]);
  if (before === undefined) return AFTER_I.has(next);
  if (BEFORE_VARIABLE.has(before)) return false;
  if ((before === "if" || before === "where") && MODALS.has(next)) return false;
  return AFTER_I.has(next) || BEFORE_I.has(before);
}

const plain = (word: string | undefined): string | undefined => word?.toLowerCase().replace("’", "'");

/** The capital of a letter that has one of its own, and is the only one that has it. */
function capitalOf(letter: string): string | undefined {
  const capital = letter.toUpperCase();
  return capital !== letter && capital.toLowerCase() === letter ? capital : undefined;
}
