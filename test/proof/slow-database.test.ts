import { beforeEach, expect, test } from "bun:test";
import { Relay } from "../../src/ledger/relay.ts";
import { openSession } from "../../src/postgres/connect.ts";
import { PublishedAudit } from "../../src/proof/audit/published-audit.ts";
import { createLog, type Logger } from "../../src/telemetry/log.ts";
import { until } from "../fixtures/until.ts";
import { useOpened } from "../fixtures/use-opened.ts";
import { openLedger } from "../ledger/ledger.ts";

const SOLD = 4;

const ledger = useOpened(openLedger, "test");
beforeEach(() => ledger.sell(SOLD));

/** A publisher with nothing to publish, whose look at the ledger somebody holds up. */
const holdUp = async (statementTimeoutMs: number) => {
  const errors: string[] = [];
  const log = { error: (_: object, text: string) => void errors.push(text) } as unknown as Logger;
  const session = {
    databaseUrl: ledger.sale.url,
    name: "audited",
    statementTimeoutMs,
    connectTimeoutMs: 5000,
  };
  await using stack = new AsyncDisposableStack();
  const relay = new Relay({
    openSession: (onError) => openSession(session, onError),
    openSink: ledger.sink.open,
    batchLimitRows: 100,
    log: createLog("silent", "test"),
    audit: new PublishedAudit(log, 0, () => 0),
  });
  stack.defer(() => relay.close());
  await until("the relay leads", async () => (await relay.round()).active);
  const other = await ledger.sale.pool.connect();
  await other.query("begin; lock table ledger_checkpoints in access exclusive mode");
  stack.defer(async () => {
    await other.query("rollback");
    other.release();
  });
  const kept = stack.move();
  return { relay, errors, kept, letGo: () => other.query("rollback") };
};

test("logs once that its statements take too long, and the publisher keeps its place and its sink", async () => {
  const { relay, errors, kept, letGo } = await holdUp(200);
  await using _ = kept;
  const { opened, closed } = ledger.sink;
  for (let round = 0; round < 2; round++) {
    expect(await relay.round()).toMatchObject({ active: true, failureCount: 0, sinkUp: true });
  }
  expect(errors).toEqual(["the audit cannot read the sealed ledger; it goes on trying"]);
  await letGo();
  expect((await relay.round()).audit?.ledger).toEqual({ drift: 0, lookedAt: SOLD });
  expect(ledger.sink).toMatchObject({ opened, closed });
});

test("the publisher gives up its place where the session is lost while it looks", async () => {
  const { relay, errors, kept } = await holdUp(20_000);
  await using _ = kept;
  const { closed } = ledger.sink;
  const round = relay.round();
  await until(
    "the look is held up",
    async () =>
      (
        await ledger.sale.rows(
          "select 1 from pg_stat_activity where application_name = 'audited' and wait_event_type = 'Lock'",
        )
      )[0],
  );
  await ledger.sale.rows(
    "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'audited'",
  );
  expect((await round).failureCount).toBe(1);
  expect(ledger.sink.closed).toBe(closed + 1);
  expect(errors).toEqual([]);
});
