import { expect, test } from "vitest";

import { chat, idle, MODEL, start } from "./start.js";

test("64 streams at a time for seconds: nothing is lost, and the order is kept", async () => {
  const { client, engine, defects } = await start({ fake: { milliseconds: 2 } });
  const until = performance.now() + 2000;
  let streams = 0;
  const worker = async (number: number): Promise<void> => {
    for (let turn = 0; performance.now() < until; turn++) {
      const ask = { model: MODEL, messages: chat(`${number} ${turn}`), max_tokens: 20, seed: number * 1000 + turn };
      let text = "";
      const reasons: string[] = [];
      for await (const { choices } of await client.chat.completions.create({ ...ask, stream: true })) {
        text += choices[0]!.delta.content ?? "";
        if (choices[0]!.finish_reason !== null) reasons.push(choices[0]!.finish_reason);
      }
      const request = engine.requests.find(({ seed }) => seed === ask.seed)!;
      expect([text, reasons]).toEqual([engine.textOf(request, 0, 20), ["length"]]);
      streams++;
    }
  };
  await Promise.all(Array.from({ length: 64 }, (_, number) => worker(number)));
  await idle(engine);
  expect(streams).toBeGreaterThanOrEqual(64);
  expect([engine.started, engine.givenUp, defects]).toEqual([streams, 0, []]);
});
