import { HubError } from "../base/errors.js";
import type { HubContext } from "./context.js";

/** What the hub means by an answer that is not OK. */
export function refusalOf(context: HubContext, response: Response): HubError {
  const { repo, settings } = context;
  const { endpoint, token } = settings;
  const code = response.headers.get("x-error-code");
  const said = response.headers.get("x-error-message") ?? "";
  const refuse = (failure: HubError["failure"], fact: string) => new HubError(repo.name, failure, fact);

  if (response.status === 429) {
    const cure = token === undefined ? "; with a token in HF_TOKEN it allows more" : "";
    return refuse("rate-limited", `${endpoint} allows no more requests for now${cure}`);
  }
  if (response.status >= 500 || response.status === 408 || isElsewhere(context, response)) {
    return refuse("server", `${new URL(response.url || endpoint).origin} answers ${statusOf(response)}`);
  }
  if (code === "GatedRepo") {
    const page = `${endpoint}/${repo.kind === "dataset" ? "datasets/" : ""}${repo.name}`;
    const how = token === undefined ? "and set HF_TOKEN" : `with the account of the token in ${token.source}`;
    return refuse("denied", `is gated; accept its conditions at ${page} ${how}`);
  }
  if (/invalid (?:credentials|username|user)/i.test(said)) {
    return refuse("denied", `${endpoint} does not know the token in ${token?.source ?? "HF_TOKEN"}`);
  }
  if (code === "RevisionNotFound") {
    const expected = "expected a branch, a tag or a commit";
    return refuse("not-found", `${endpoint} has no revision ${JSON.stringify(repo.revision)} of it, ${expected}`);
  }
  if (code === "RepoNotFound" || response.status === 404 || response.status === 401) {
    const unless =
      token === undefined
        ? "unless it is private, for which HF_TOKEN is to be set"
        : `unless it is private and the token in ${token.source} may not read it`;
    return refuse(
      response.status === 404 ? "not-found" : "denied",
      `${endpoint} has no such ${NOUN[repo.kind]}, ${unless}`,
    );
  }
  const cure = response.status === 403 ? "; expected a token that may read it in HF_TOKEN" : "";
  return refuse(response.status === 403 ? "denied" : "answer", `${endpoint} answers ${statusOf(response)}${cure}`);
}

export const NOUN = { model: "model", dataset: "data set" } as const;

/** Whether the answer is of a store that the hub sent us to, whose address is good for a while. */
const isElsewhere = ({ settings }: HubContext, { url }: Response): boolean =>
  url !== "" && new URL(url).origin !== new URL(settings.endpoint).origin;

const statusOf = ({ status, statusText, headers }: Response): string =>
  `${status} ${headers.get("x-error-message") ?? statusText}`.trim();

/** How long the hub wants to be left alone, if it says so. */
export function waitOf({ headers }: Response): number | undefined {
  const after = headers.get("retry-after");
  if (after !== null && /^\d+$/.test(after)) return Number(after) * 1000;
  if (after !== null && !Number.isNaN(Date.parse(after))) return Math.max(0, Date.parse(after) - Date.now());
  const reset = /r=0;.*?t=(\d+)/.exec((headers.get("ratelimit") ?? "").replaceAll(" ", "")); // of the IETF's draft
  return reset === null ? undefined : Number(reset[1]) * 1000;
}
