import { generate } from "./generate.ts";
import type { GeneratorTask } from "./task.ts";

/** Runs the load generator in its own process, so that its CPU time is separate. */
const task = JSON.parse(process.argv[2] ?? "") as GeneratorTask;
console.log(`RESULT ${JSON.stringify(await generate(task))}`);
process.exit();
