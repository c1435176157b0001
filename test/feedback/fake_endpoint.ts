import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout } from "node:timers/promises";

/** What the fake does with a request. */
export type Behaviour =
  | {
      readonly kind: "answer";
      readonly text: string;
      readonly finish?: string;
      readonly usage?: { readonly prompt_tokens: number; readonly completion_tokens: number };
      /** Milliseconds before it. */
      readonly delay?: number;
    }
  | {
      readonly kind: "reply";
      readonly status: number;
      readonly body?: unknown;
      readonly headers?: Record<string, string>;
    }
  /** Nothing is said, ever. */
  | { readonly kind: "hang" }
  /** The connection ends: at once, or in the middle of the answer. */
  | { readonly kind: "close" }
  | { readonly kind: "drop" }
  /** Half the answer, as if it were the whole. */
  | { readonly kind: "half" }
  | { readonly kind: "huge"; readonly bytes: number };

export interface FakeRequest {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Record<string, unknown> & {
    readonly model: string;
    readonly messages: readonly { readonly role: string; readonly content: string }[];
  };
  /** What the user said last. */
  readonly prompt: string;
  /** How often this prompt has been asked of this model, this time counted. */
  readonly times: number;
}

/** An endpoint of this machine that speaks OpenAI's chat completions, and misbehaves as it is told to. */
export class FakeEndpoint implements AsyncDisposable {
  /** Default: an echo. */
  behave: (request: FakeRequest) => Behaviour = ({ prompt }) => ({ kind: "answer", text: `echo ${prompt}` });
  readonly requests: FakeRequest[] = [];
  /** Prompts whose answers were sent whole, each as often as it was. */
  readonly delivered: string[] = [];
  running = 0;
  mostRunning = 0;
  private readonly server = createServer(async (request, response) => {
    let text = "";
    for await (const chunk of request) text += chunk;
    const body: FakeRequest["body"] = JSON.parse(text);
    const prompt = body.messages.findLast(({ role }) => role === "user")?.content ?? "";
    const times = this.timesAsked(prompt, body.model) + 1;
    const made = { path: request.url!, headers: request.headers, body, prompt, times };
    this.requests.push(made);
    this.mostRunning = Math.max(this.mostRunning, ++this.running);
    response.on("close", () => this.running--);
    await this.perform(this.behave(made), made, response);
  });

  static async start(): Promise<FakeEndpoint> {
    const endpoint = new FakeEndpoint();
    await new Promise<void>((resolve) => void endpoint.server.listen(0, "127.0.0.1", resolve));
    return endpoint;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/v1`;
  }

  /** Milliseconds after which a connection that nothing is asked on is closed. */
  set keepAlive(milliseconds: number) {
    this.server.keepAliveTimeout = milliseconds;
  }

  timesAsked(prompt: string, model?: string): number {
    return this.requests.filter((one) => one.prompt === prompt && (model ?? one.body.model) === one.body.model).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => void this.server.close(resolve));
    this.server.closeAllConnections();
    await closed;
  }

  private async perform(behaviour: Behaviour, { prompt }: FakeRequest, response: ServerResponse): Promise<void> {
    switch (behaviour.kind) {
      case "hang":
        return;
      case "close":
        response.socket!.destroy();
        return;
      case "reply": {
        const { status, body = {}, headers } = behaviour;
        response.writeHead(status, headers).end(typeof body === "string" ? body : JSON.stringify(body));
        return;
      }
      case "huge":
        response.writeHead(200).write("x".repeat(behaviour.bytes)); // and does not end
        return;
      case "answer": {
        if (behaviour.delay !== undefined) await setTimeout(behaviour.delay);
        if (response.destroyed) return;
        response.end(completion(behaviour), () => this.delivered.push(prompt));
        return;
      }
      case "drop": {
        const text = completion({ text: "lost" });
        response.writeHead(200, { "content-length": text.length }).write(text.slice(0, 20));
        await setTimeout(5);
        response.socket?.destroy();
        return;
      }
      case "half":
        response.end(completion({ text: "lost" }).slice(0, 40));
    }
  }
}

/** The body of an answer. */
export function completion({
  text,
  finish = "stop",
  usage = { prompt_tokens: 10, completion_tokens: 5 },
}: {
  readonly text: string;
  readonly finish?: string;
  readonly usage?: object;
}): string {
  const choices = [{ index: 0, message: { role: "assistant", content: text }, finish_reason: finish }];
  return JSON.stringify({ id: "1", object: "chat.completion", choices, usage });
}
