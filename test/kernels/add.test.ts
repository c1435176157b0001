import { add } from "../reference/add.js";
import { conformance } from "./conformance.js";

// One number, one past a vector, more than a chunk.
conformance("add", {
  reference: add,
  axes: [
    { R: 1, C: 1 },
    { R: 3, C: 11 },
    { R: 41, C: 413 },
  ],
});
