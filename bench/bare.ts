import { Elysia } from "elysia";

/**
 * The reserve route with a constant answer and nothing behind it: the maximum of the HTTP server alone on
 * this machine. Run `bun bench/bare.ts elysia|bun`.
 */
const ROUTE = "/api/v1/bookings/reserve/:seatId";
const BODY = JSON.stringify({ message: "Seat is already taken", seatId: 2, status: "TAKEN" });
const answer = () => new Response(BODY, { status: 409, headers: { "content-type": "application/json" } });

const { HOST: hostname = "127.0.0.1", PORT } = process.env;
const port = Number(PORT);

switch (process.argv[2]) {
  case "elysia":
    new Elysia().get("/health/ready", "ready").post(ROUTE, answer).listen({ hostname, port });
    break;
  case "bun":
    Bun.serve({
      hostname,
      port,
      routes: { "/health/ready": new Response("ready"), [ROUTE]: { POST: answer } },
      fetch: () => new Response(null, { status: 404 }),
    });
    break;
  default:
    throw new Error("which: elysia or bun");
}
