import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { plugin } from "bun";
import type * as piscina from "piscina";

// Preloaded into an engine (BUN_OPTIONS) by unruly-threads.test.ts: its reservation threads run
// unruly-reservation.ts, which misbehaves for some seats and does the real work for all others. So the engine
// itself knows nothing of it.

const real = createRequire(import.meta.url)("piscina") as typeof piscina;
const REAL_WORKER = fileURLToPath(new URL("../../workers/reservation.ts", import.meta.url));
const UNRULY_WORKER = new URL("./unruly-reservation.ts", import.meta.url).href;

type Options = ConstructorParameters<typeof real.Piscina>[0];

class UnrulyPiscina extends real.Piscina {
  constructor(options: Options = {}) {
    const isReservations = options.filename === new URL(`file://${REAL_WORKER}`).href;
    super(isReservations ? { ...options, filename: UNRULY_WORKER } : options);
  }
}

plugin({
  name: "unruly threads",
  setup: (build) => {
    build.module("piscina", () => ({ exports: { ...real, Piscina: UnrulyPiscina }, loader: "object" }));
  },
});
