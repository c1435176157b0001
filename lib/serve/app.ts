import type { ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { HttpBindings } from "@hono/node-server";
import { type Context, Hono } from "hono";
import { cors } from "hono/cors";
import { methodNotAllowed } from "hono/method-not-allowed";
import type { Admission, Ticket } from "./admission.js";
import { type Answering, chunks, newHead, wholeAnswer } from "./answer.js";
import { ApiError, internalError, shuttingDown, toApiError } from "./api_error.js";
import { keyCheck } from "./authorize.js";
import { readJsonBody } from "./body.js";
import { readChatRequest } from "./chat_request.js";
import { ChatShape } from "./chat_shape.js";
import { readCompletionRequest } from "./completion_request.js";
import { CompletionShape } from "./completion_shape.js";
import { eventStream } from "./event_stream.js";
import type { Metrics } from "./metrics.js";
import { isLoopback, type ServedModel, type Settings } from "./options.js";
import { runAll } from "./run_all.js";
import { Tally } from "./tally.js";
import type { AnswerShape, Work } from "./work.js";

interface Env {
  Bindings: HttpBindings;
  Variables: { tally: Tally };
}

/** Status of a request whose client went away, in logs and metrics. */
const CLIENT_GONE = 499;

/** Milliseconds after which a stream that still waits begins without an event. */
const MOST_SILENCE = 1000;

const KEY_MISSING = "The API key is missing or wrong; send it as 'Authorization: Bearer KEY'.";

/** The routes, each behind the checks that it needs. */
export function createApp(model: ServedModel, settings: Settings, admission: Admission, metrics: Metrics): Hono<Env> {
  const app = new Hono<Env>();
  const modelObject = {
    id: settings.name,
    object: "model",
    created: Math.floor(Date.now() / 1000),
    owned_by: "westwind",
  };

  const fail = (error: unknown): ApiError => {
    const known = toApiError(error);
    if (known === undefined) settings.onDefect?.(error);
    return known ?? internalError();
  };
  const refuse = (c: Context<Env>, error: ApiError): Response =>
    c.json(error.body, error.status, error.details.headers ?? {});
  app.onError((error, c) => refuse(c, fail(error)));
  app.notFound((c) =>
    refuse(c, new ApiError(404, `Unknown request URL: ${c.req.method} ${c.req.path}.`, { code: "unknown_url" })),
  );

  app.use(async (c, next) => {
    c.set("tally", new Tally(metrics));
    observe(c, settings, metrics);
    await next();
  });
  if (settings.allowOrigin !== undefined) {
    const allowHeaders = ["Authorization", "Content-Type"];
    app.use(cors({ origin: settings.allowOrigin, allowMethods: ["GET", "POST"], allowHeaders, maxAge: 600 }));
  }

  app.get("/health", (c) => {
    if (!admission.isOpen) throw shuttingDown();
    if (model.engine.stats.hasFailed)
      throw new ApiError(503, "The model failed and answers nothing any more.", { code: "engine_failed" });
    return c.json({ status: "ok" });
  });

  if (settings.apiKey === undefined) {
    app.use(async (c, next) => {
      // A page whose name was made to lead here would pass for this server's own.
      const { hostname } = new URL(c.req.url);
      if (isLoopback(hostname.replace(/^\[|\]$/g, ""))) return next();
      throw new ApiError(403, `${hostname} is not this machine's own name, which needs an API key.`, {
        code: "host_not_allowed",
      });
    });
  } else {
    const isRight = keyCheck(settings.apiKey);
    app.use(async (c, next) => {
      if (isRight(c.req.header("authorization"))) return next();
      throw new ApiError(401, KEY_MISSING, { code: "invalid_api_key", headers: { "WWW-Authenticate": "Bearer" } });
    });
  }
  app.use(
    methodNotAllowed({
      app,
      onMethodNotAllowed: (c, methods) => {
        const message = `${c.req.method} is not allowed for ${c.req.path}, expected ${methods.join(" or ")}.`;
        const error = new ApiError(405, message, {
          code: "method_not_allowed",
          headers: { Allow: methods.join(", ") },
        });
        return c.json(error.body, 405, error.details.headers);
      },
    }),
  );

  app.get("/metrics", async (c) => c.text(await metrics.text(), 200, { "Content-Type": metrics.contentType }));
  app.get("/v1/models", (c) => c.json({ object: "list", data: [modelObject] }));
  app.get("/v1/models/:id{.+}", (c) => {
    const id = c.req.param("id");
    if (id === settings.name) return c.json(modelObject);
    throw new ApiError(404, `The model '${id}' does not exist.`, { param: "model", code: "model_not_found" });
  });

  type Read = (body: unknown, model: ServedModel, settings: Settings) => Work;
  const answers = (path: string, read: Read, newShape: () => AnswerShape): void => {
    app.post(path, async (c) => {
      const ticket = admission.enter();
      const { incoming, outgoing } = c.env;
      endWith(outgoing, ticket);
      const work = read(await readJsonBody(incoming, settings.maxBodyBytes), model, settings);
      const shape = newShape();
      const tally = c.get("tally");
      const events = tally.follow(work, runAll(model.engine, work.requests, ticket));
      const answering = { work, shape, head: newHead(shape, settings.name), tokenizer: model.tokenizer, tally, events };
      try {
        return work.stream ? await streamed(answering, ticket, fail) : c.json(await wholeAnswer(answering));
      } catch (error) {
        throw ticket.signal.aborted ? ticket.signal.reason : error;
      }
    });
  };
  answers("/v1/chat/completions", readChatRequest, () => new ChatShape(model.tokenizer));
  answers("/v1/completions", readCompletionRequest, () => new CompletionShape(model.tokenizer));
  return app;
}

/**
 * The answer as events. What goes wrong before the first of them still has a status of its own, unless that takes so long,
 * as where others are before it, that a client would take the silence for a lost connection.
 */
async function streamed(answering: Answering, ticket: Ticket, fail: (error: unknown) => ApiError): Promise<Response> {
  const datas = chunks(answering);
  const first = datas.next();
  await Promise.race([first, sleep(MOST_SILENCE, undefined, { ref: false })]);
  const body = eventStream(first, datas, ticket, (error) => JSON.stringify(fail(error).body));
  const headers = { "Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache" };
  return new Response(body, { headers });
}

/** A ticket is over when the response has been sent, or cannot be any more; in that case so is the request. */
function endWith(outgoing: ServerResponse, ticket: Ticket): void {
  const end = (): void => {
    if (!outgoing.writableFinished) ticket.abort(new ApiError(503, "The client went away."));
    ticket.end();
  };
  if (outgoing.destroyed) end();
  else outgoing.once("close", end);
}

/** Counts a request, and tells of it, when its response has been sent or the client has gone. */
function observe(c: Context<Env>, settings: Settings, metrics: Metrics): void {
  const begin = performance.now();
  const { outgoing } = c.env;
  const { method, path } = c.req;
  const tally = c.get("tally");
  outgoing.once("close", () => {
    const milliseconds = performance.now() - begin;
    const status = outgoing.writableFinished ? outgoing.statusCode : CLIENT_GONE;
    const route = routeOf(path);
    metrics.requests.inc({ route, status });
    metrics.requestSeconds.observe({ route }, milliseconds / 1000);
    const { promptTokens, completionTokens } = tally;
    settings.onRequest?.({ method, path, status, promptTokens, completionTokens, milliseconds });
  });
}

const ROUTES = new Set(["/health", "/metrics", "/v1/models", "/v1/chat/completions", "/v1/completions"]);

/** A path as a label: there are only so many. */
function routeOf(path: string): string {
  if (ROUTES.has(path)) return path;
  return path.startsWith("/v1/models/") ? "/v1/models/:id" : "other";
}
