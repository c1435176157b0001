// Lets plain Node run the TypeScript of this checkout: `node --import ./bench/register.mjs bench/kernels/main.ts`.
import { register } from "node:module";

register("./typescript_loader.mjs", import.meta.url);
