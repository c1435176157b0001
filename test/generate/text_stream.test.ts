import fc from "fast-check";
import { expect, test } from "vitest";
import { TextStream } from "../../lib/generate/text_stream.js";

const push = (stream: TextStream, text: string) => stream.push(Buffer.from(text));

test("a character is told when its last byte is there", () => {
  const stream = new TextStream([]);
  const [first, ...rest] = Buffer.from("é€");
  expect(stream.push(Uint8Array.of(first!))).toEqual({ text: "", isStopped: false });
  expect(stream.push(Uint8Array.from(rest.slice(0, 2)))).toEqual({ text: "é", isStopped: false });
  expect(stream.end()).toBe("\ufffd");
});

test("what may begin a stop text is held back until it does not", () => {
  const stream = new TextStream(["\n\nUser:", "END"]);
  expect(push(stream, "one\n")).toEqual({ text: "one", isStopped: false });
  expect(push(stream, "\nUs")).toEqual({ text: "", isStopped: false });
  expect(push(stream, "eful E")).toEqual({ text: "\n\nUseful ", isStopped: false });
  expect(push(stream, "N")).toEqual({ text: "", isStopped: false });
  expect(push(stream, "D and more")).toEqual({ text: "", isStopped: true });
});

test("of several stop texts the first in the text counts, and text before it is told", () => {
  expect(push(new TextStream(["c", "b"]), "abcd")).toEqual({ text: "a", isStopped: true });
});

test("what was held back is told at the end", () => {
  const stream = new TextStream(["stop"]);
  push(stream, "a sto");
  expect(stream.end()).toBe("sto");
});

test("any text in any pieces comes out as it is, up to its first stop text", () => {
  const letters = fc.array(fc.constantFrom("a", "b", "é", "🙂"), { maxLength: 20 }).map((parts) => parts.join(""));
  const stops = fc.array(fc.constantFrom("ab", "aab", "é", "ba🙂", "bb"), { maxLength: 3 });
  fc.assert(
    fc.property(letters, stops, fc.integer({ min: 1, max: 5 }), (text, stop, size) => {
      const stream = new TextStream(stop);
      const bytes = Buffer.from(text);
      let told = "";
      let isStopped = false;
      for (let at = 0; at < bytes.length && !isStopped; at += size) {
        const piece = stream.push(bytes.subarray(at, at + size));
        told += piece.text;
        isStopped = piece.isStopped;
      }
      if (!isStopped) told += stream.end();
      const found = stop.map((each) => text.indexOf(each)).filter((at) => at >= 0);
      const end = found.length > 0 ? Math.min(...found) : text.length;
      expect(told).toBe(text.slice(0, end));
      expect(isStopped).toBe(found.length > 0);
    }),
  );
});
