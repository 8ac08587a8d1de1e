import { readFileSync } from "node:fs";

/** Files, pipes and other connections that a server or the load generator has open besides its clients. */
const OTHERS = 200;

/**
 * Makes sure that processes started from here may open that many connections; nothing is raised silently.
 * @throws saying what to do.
 */
export function needDescriptors(connections: number): void {
  const limit = openFilesLimit();
  if (limit >= connections + OTHERS) return;
  throw new Error(
    `${connections} connections need ${connections + OTHERS} open files a process, ulimit -n is ${limit}: raise it in this shell (ulimit -n ${connections + OTHERS}) or give a smaller --crowd`,
  );
}

function openFilesLimit(): number {
  try {
    const soft = /^Max open files\s+(\d+|unlimited)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
    return soft === "unlimited" ? Number.POSITIVE_INFINITY : Number(soft ?? 0);
  } catch {
    // Only Linux reports the limit; elsewhere the first refused connection shows it.
    return Number.POSITIVE_INFINITY;
  }
}
