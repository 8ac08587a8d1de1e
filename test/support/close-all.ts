import { afterAll, setDefaultTimeout } from "bun:test";
import { endLeftChildren } from "./child.ts";
import { stopPostgres } from "./postgres.ts";

// Parts take seconds to start on a busy machine; what must be quick says so itself.
setDefaultTimeout(60_000);

// Preloaded by `bun test`, so this runs once, after the last file.
afterAll(async () => {
  const left = await endLeftChildren();
  await stopPostgres();
  if (left.length > 0) throw new Error(`tests left running: ${left.join(", ")}`);
});
