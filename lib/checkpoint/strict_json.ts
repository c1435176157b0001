/**
 * JSON that means one thing only. JSON.parse keeps the last of two equal names and takes any depth; this refuses both,
 * and numbers that are not plain whole ones. Throws SyntaxError with the fact that is wrong.
 */
export function parseStrictJson(text: string, maxDepth: number): unknown {
  const value: unknown = JSON.parse(text);
  refuseAmbiguity(text, maxDepth);
  return value;
}

// A string, a number or a mark; words and spaces are skipped. In text that is known to be JSON nothing else matches.
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[-+.\w]*|[{}[\]:]/gs;

function refuseAmbiguity(text: string, maxDepth: number): void {
  const open: (Set<string> | undefined)[] = []; // the names of each object that is open, undefined for a list
  let string: string | undefined; // the token just before, if it was a string: a name when a colon follows

  for (const [token] of text.matchAll(TOKEN)) {
    const first = token[0]!;
    if (first === "{" || first === "[") {
      open.push(first === "{" ? new Set() : undefined);
      if (open.length > maxDepth) throw new SyntaxError(`nested more than ${maxDepth} deep`);
    } else if (first === "}" || first === "]") {
      open.pop();
    } else if (first === ":") {
      addName(open.at(-1)!, string!);
    } else if (first !== '"' && !/^(?:0|[1-9]\d*)$/.test(token)) {
      throw new SyntaxError(`${token.slice(0, 40)} is not a whole number`);
    }
    string = first === '"' ? token : undefined;
  }
}

function addName(names: Set<string>, literal: string): void {
  const name: string = JSON.parse(literal);
  if (names.has(name)) throw new SyntaxError(`the name ${literal.slice(0, 80)} is there twice`);
  names.add(name);
}
