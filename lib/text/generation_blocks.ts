// transformers' own extension of Jinja: {% generation %} ... {% endgeneration %} around what the assistant is to learn.
// Each tag is replaced by an output of a private character, with the white space control of a block tag done by hand.

const BEGIN = "\uE0F0";
const END = "\uE0F1";
const TAG = /(\s*)\{%(-?)\s*(end)?generation\s*(-?)%\}(\s*)/g;

export const hasGenerationBlocks = (source: string): boolean => /\{%-?\s*generation\s*-?%\}/.test(source);

/** The template with a character in the place of each generation tag. */
export function markGenerationBlocks(source: string): string {
  return source.replace(TAG, (_tag, before: string, strip: string, end, stripAfter: string, after: string) => {
    const left = strip === "-" ? "" : before.replace(/(^|\n)[ \t]*$/, "$1"); // lstrip_blocks
    const right = stripAfter === "-" ? "" : after.replace(/^\n/, ""); // trim_blocks
    return `${left}{{ "${end === undefined ? BEGIN : END}" }}${right}`;
  });
}

/** Takes the characters out again and tells where the blocks were, in UTF-16 units. */
export function readGenerationMarks(marked: string): { text: string; spans: { begin: number; end: number }[] } {
  const spans: { begin: number; end: number }[] = [];
  let text = "";
  let begin = 0;
  for (const part of marked.split(/([\uE0F0\uE0F1])/)) {
    if (part === BEGIN) begin = text.length;
    else if (part === END) spans.push({ begin, end: text.length });
    else text += part;
  }
  return { text, spans };
}
