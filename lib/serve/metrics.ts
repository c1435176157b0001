import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { EngineStats, TextGenerator } from "../generate/request.js";

const REQUEST_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];
const TOKEN_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

/** What GET /metrics tells, in Prometheus' text format. One registry a server, so that two of a process stay apart. */
export class Metrics {
  private readonly registry = new Registry();
  private readonly registers = [this.registry];
  readonly requests = new Counter({
    name: "westwind_requests_total",
    help: "Requests that are over, by route and status; 499 where the client went away.",
    labelNames: ["route", "status"] as const,
    registers: this.registers,
  });
  readonly requestSeconds = new Histogram({
    name: "westwind_request_duration_seconds",
    help: "Time from a request's headers to the end of its answer, by route.",
    labelNames: ["route"] as const,
    buckets: REQUEST_SECONDS,
    registers: this.registers,
  });
  readonly timeToFirstToken = new Histogram({
    name: "westwind_time_to_first_token_seconds",
    help: "Time from a request's headers to its first token.",
    buckets: REQUEST_SECONDS,
    registers: this.registers,
  });
  readonly timePerToken = new Histogram({
    name: "westwind_time_per_output_token_seconds",
    help: "Time from one token of an answer to the next.",
    buckets: TOKEN_SECONDS,
    registers: this.registers,
  });
  readonly promptTokens = this.counter("westwind_prompt_tokens_total", "Tokens of prompts.");
  readonly cachedTokens = this.counter(
    "westwind_cached_tokens_total",
    "Tokens of prompts whose keys and values were in the cache already.",
  );
  readonly generatedTokens = this.counter("westwind_generated_tokens_total", "Tokens of answers.");

  constructor(engine: TextGenerator) {
    const gauge = (name: string, help: string, read: (stats: EngineStats) => number): void => {
      new Gauge({
        name,
        help,
        registers: this.registers,
        collect() {
          this.set(read(engine.stats));
        },
      });
    };
    gauge("process_resident_memory_bytes", "Memory of the process.", () => process.memoryUsage.rss());
    gauge("westwind_running", "Answers that grow.", ({ running }) => running);
    gauge("westwind_waiting", "Answers that wait.", ({ waiting }) => waiting);
    gauge("westwind_cache_pages", "Pages of the cache.", ({ pages }) => pages);
    gauge("westwind_cache_pages_used", "Pages of the cache that requests use.", ({ pagesUsed }) => pagesUsed);
    const name = "westwind_preemptions_total";
    const help = "Answers that were set back because the cache was full.";
    new Counter({
      name,
      help,
      registers: this.registers,
      collect() {
        this.reset();
        this.inc(engine.stats.preemptions);
      },
    });
  }

  get contentType(): string {
    return this.registry.contentType;
  }

  text(): Promise<string> {
    return this.registry.metrics();
  }

  private counter(name: string, help: string): Counter {
    return new Counter({ name, help, registers: this.registers });
  }
}
