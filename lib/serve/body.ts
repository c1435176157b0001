import type { IncomingMessage } from "node:http";
import { ApiError, badRequest } from "./api_error.js";

/**
 * The JSON of a request's body. Throws ApiError: 415 for another type, 413 as soon as there are more than `maxBytes`, 400
 * for what is no JSON. What is left unread of a body is for the caller to discard.
 */
export async function readJsonBody(incoming: IncomingMessage, maxBytes: number): Promise<unknown> {
  const {
    "content-type": type = "",
    "content-encoding": encoding = "identity",
    "content-length": length,
  } = incoming.headers;
  if (!/^application\/json *(;|$)/i.test(type))
    throw new ApiError(415, `Content-Type is ${type === "" ? "missing" : type}, expected application/json.`);
  if (encoding !== "identity") throw new ApiError(415, `Content-Encoding is ${encoding}, expected none.`);
  const tooLarge = (): ApiError => new ApiError(413, `The body has more than the ${maxBytes} bytes that are allowed.`);
  if (Number(length ?? 0) > maxBytes) throw tooLarge();

  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of incoming.iterator({ destroyOnReturn: false })) {
    size += chunk.length;
    if (size > maxBytes) throw tooLarge();
    chunks.push(chunk);
  }
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks)));
  } catch (error) {
    const why = error instanceof SyntaxError ? "" : ": it is not UTF-8";
    throw badRequest(`The body of the request cannot be parsed as JSON${why}.`);
  }
}
