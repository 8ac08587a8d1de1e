import autocannon from "autocannon";
import type { LoadTask } from "./load.ts";

/** The load of distinct-seats.lua where wrk is missing; a process of its own, so that its CPU time is its own. */
const task = JSON.parse(process.argv[2] ?? "") as LoadTask & { timeoutSeconds: number };

let seatId = task.firstSeatId - 1;
const statuses: Record<string, number> = {};
const instance = autocannon(
  {
    url: task.url,
    connections: task.connections,
    duration: task.seconds,
    timeout: task.timeoutSeconds,
    requests: [
      {
        method: "POST",
        setupRequest: (request) => {
          seatId = seatId === task.lastSeatId ? task.firstSeatId : seatId + 1;
          return { ...request, path: `/api/v1/bookings/reserve/${seatId}` };
        },
      },
    ],
  },
  (error, result) => {
    if (error) throw error;
    const figures = {
      durationMs: result.duration * 1000,
      answers: result["2xx"] + result.non2xx,
      refused: result.non2xx,
      lost: result.errors,
      p50Ms: result.latency.p50,
      p99Ms: result.latency.p99,
      statuses,
    };
    console.log(`RESULT ${JSON.stringify(figures)}`);
  },
);
instance.on("response", (_client, status) => {
  statuses[status] = (statuses[status] ?? 0) + 1;
});
