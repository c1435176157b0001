import { describe, expect, test } from "vitest";

import { dpoLoss } from "../reference/dpo_loss.js";
import { conformance } from "./conformance.js";
import { gradcheck } from "./gradcheck.js";
import { backends, launch } from "./launch.js";

const scalars = { beta: 2.5, label_smoothing: 0.1, grad_scale: 0.25 };

conformance("dpo_loss", { reference: dpoLoss, axes: [{ P: 1 }, { P: 3 }, { P: 300 }], scalars });

const references = { ref_chosen: Float64Array.of(0.3, -1, 2, 0, 0.1), ref_rejected: Float64Array.of(0, 0.5, -2, 1, 0) };
gradcheck("dpo_loss", {
  axes: { P: 5 },
  inputs: { policy_chosen: "P", policy_rejected: "P" },
  forward: (policy, axes) => dpoLoss({ ...policy, ...references }, axes, scalars).loss,
  backward: (dloss, policy, axes) => {
    const { dpolicy_chosen, dpolicy_rejected } = dpoLoss({ ...policy, ...references }, axes, {
      ...scalars,
      grad_scale: 1,
    });
    return {
      policy_chosen: dpolicy_chosen.map((d, p) => d * dloss[p]!),
      policy_rejected: dpolicy_rejected.map((d, p) => d * dloss[p]!),
    };
  },
});

describe.each(backends)("$name", (backend) => {
  test.each([
    [0, [0, 1e4], [0, -1]],
    [0.5, [5e3, 5e3], [0.5, -0.5]],
  ])("dpo_loss is finite for margins of 10000 with smoothing %f", async (label_smoothing, loss, dpolicy) => {
    const zeros = new Float64Array(2);
    const { axes, dtypes } = { axes: { P: 2 }, dtypes: {} };
    const outcome = await launch(backend, 1, "dpo_loss", {
      axes,
      dtypes,
      scalars: { beta: 1, label_smoothing, grad_scale: 1 },
      values: {
        policy_chosen: Float64Array.of(5e3, -5e3),
        policy_rejected: Float64Array.of(-5e3, 5e3),
        ref_chosen: zeros,
        ref_rejected: zeros,
      },
    });
    expect([...outcome.loss!.values]).toEqual(loss);
    expect([...outcome.dpolicy_chosen!.values].map((d) => d + 0)).toEqual(dpolicy);
  });
});
