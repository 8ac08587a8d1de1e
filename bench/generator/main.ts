import { generate } from "./generate.ts";
import type { GeneratorTask } from "./task.ts";

/** The load generator, a process of its own, so that its CPU time is its own. */
const task = JSON.parse(process.argv[2] ?? "") as GeneratorTask;
console.log(`RESULT ${JSON.stringify(await generate(task))}`);
process.exit();
