import { and, eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import { Elysia } from "elysia";
import { Redis } from "ioredis";
import { Kafka, logLevel, Partitioners } from "kafkajs";
import { Pool } from "pg";
import Redlock from "redlock";
import { reservations, seatEvents, seats } from "../src/postgres/schema.ts";

/**
 * The engine's yardstick: the same route and tables done the straightforward way, one request at a time
 * through one lock, one transaction and one send. As correct as that way can be on a good day; a crash
 * between commit and send loses the event, which is what the engine's ledger is for.
 */
const LOCK_TTL_MS = 2_000;
const POOL_CONNECTIONS = 20;
const EPOCH = 1;

const {
  DATABASE_URL,
  REDIS_URL = "",
  KAFKA_BROKERS,
  TOPIC = "",
  HOST: hostname = "127.0.0.1",
  PORT,
} = process.env;

const database = drizzle(new Pool({ connectionString: DATABASE_URL, max: POOL_CONNECTIONS }));
const redlock = new Redlock([new Redis(REDIS_URL) as unknown as Redlock.CompatibleRedisClient], {
  retryCount: 0,
});
const send = KAFKA_BROKERS ? await openKafka(KAFKA_BROKERS.split(",")) : async () => {};

new Elysia()
  .get("/health/ready", "ready")
  .post("/api/v1/bookings/reserve/:seatId", async ({ params, status }) => {
    const seatId = Number(params.seatId);
    if (!Number.isSafeInteger(seatId) || seatId < 1)
      return status(400, { message: "seatId must be positive" });
    const won = await reserve(seatId);
    return won
      ? status(201, { message: "Seat reserved successfully", seatId, status: "SUCCESS", ...won })
      : status(409, { message: "Seat is already taken", seatId, status: "TAKEN" });
  })
  .listen({ hostname, port: Number(PORT) });

/** The reservation, or undefined when somebody else has the seat or is about to. */
async function reserve(seatId: number) {
  const lock = await redlock.lock(`seat:${seatId}`, LOCK_TTL_MS).catch(() => undefined);
  if (!lock) return undefined;
  try {
    const won = await sell(seatId);
    if (won) await send(seatId, won);
    return won;
  } finally {
    await lock.unlock().catch(() => {});
  }
}

function sell(seatId: number) {
  return database.transaction(async (transaction) => {
    const [seat] = await transaction
      .select({ version: seats.version, status: seats.status, eventId: seats.eventId })
      .from(seats)
      .where(eq(seats.id, seatId));
    if (seat?.status !== "available") return undefined;

    const reservationId = Bun.randomUUIDv7();
    const version = seat.version + 1;
    const updated = await transaction
      .update(seats)
      .set({ status: "reserved", version, reservationId })
      .where(and(eq(seats.id, seatId), eq(seats.version, seat.version)));
    if (updated.rowCount !== 1) return undefined;
    await transaction
      .insert(reservations)
      .values({ id: reservationId, eventId: seat.eventId, status: "confirmed", seatCount: 1 });
    await transaction
      .insert(seatEvents)
      .values({ epoch: EPOCH, seatId, version, eventId: seat.eventId, status: "RESERVED", reservationId });
    return { reservationId, version };
  });
}

async function openKafka(brokers: string[]) {
  const kafka = new Kafka({ clientId: "baseline", brokers, logLevel: logLevel.NOTHING });
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: 3 }], waitForLeaders: true });
  await admin.disconnect();
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
  await producer.connect();
  return async (seatId: number, { version, reservationId }: { version: number; reservationId: string }) => {
    const value = JSON.stringify({
      seatId,
      status: "RESERVED",
      timestamp: Date.now(),
      version,
      reservationId,
    });
    await producer.send({ topic: TOPIC, messages: [{ key: String(seatId), value }] });
  };
}
