import { describe, expect, test } from "bun:test";
import { untilWithin } from "../fixtures/until.ts";
import { useOpened } from "../fixtures/use-opened.ts";
import { identities, openLedger } from "./ledger.ts";

const DEADLINE_MS = 8000;

const ledger = useOpened(openLedger, "test");

describe("of several relays", () => {
  test("one publishes, the others wait", async () => {
    const seatIds = await ledger.sell(3);
    const [one, other] = [ledger.openRelay("one"), ledger.openRelay("other")];
    expect((await one.round()).active).toBe(true);
    expect(await other.round()).toMatchObject({ active: false, publishedCount: 0 });
    expect(ledger.sink.arrivals()).toEqual(identities(seatIds));
  });

  test("another takes over when the leader closes", async () => {
    const [one, other] = [ledger.openRelay("one"), ledger.openRelay("other")];
    await one.round();
    await one.close();
    expect((await other.round()).active).toBe(true);
  });

  test("another takes over when the leader's session is terminated, and nothing is lost", async () => {
    const [one, other] = [ledger.openRelay("one"), ledger.openRelay("other")];
    const first = await ledger.sell(2);
    await one.round();
    const second = await ledger.sell(2);
    await ledger.terminateLeader();
    const taken = async () => (await other.round()).active;
    await untilWithin(DEADLINE_MS, "the other leads", taken);
    expect(ledger.sink.arrivals()).toEqual(identities([...first, ...second]));
    expect((await one.round()).active).toBe(false);
    expect((await ledger.leaders()).map(({ name }) => name)).toEqual(["other"]);
  });

  test("one that was cut off in the middle of a send can only repeat, never reorder", async () => {
    const { sink, cursor } = ledger;
    const [seatId = 0] = await ledger.sell(1);
    const [one, other] = [ledger.openRelay("one"), ledger.openRelay("other")];
    let open = () => {};
    sink.gate = new Promise((resolve) => {
      open = () => resolve();
    });
    const stuck = one.round();
    await untilWithin(DEADLINE_MS, "the send has begun", () => sink.events.length === 1);
    await ledger.terminateLeader();
    sink.gate = undefined;
    await ledger.cancelOne(seatId, 1);
    const taken = async () => (await other.round()).publishedCount > 0;
    await untilWithin(DEADLINE_MS, "the other publishes", taken);
    const reached = await cursor();

    open();
    await stuck;
    await one.round();
    expect(sink.versionsOf(seatId)).toEqual([1, 2]);
    expect(await cursor()).toEqual(reached);
  });

  test("one whose cursor was moved by another stops, leaves it where it is, and lets go", async () => {
    await ledger.sell(1);
    const relay = ledger.openRelay();
    await relay.round();
    await ledger.sell(1);
    await ledger.sale.rows("update ledger_cursors set id = id + 1000");
    const moved = await ledger.cursor();
    await relay.round();
    expect(await ledger.cursor()).toEqual(moved);
    expect(await ledger.leaders()).toEqual([]);
    expect(ledger.sink.closed).toBe(1);
  });

  test("one whose cursor was moved takes up the new cursor before it leads again", async () => {
    const relay = ledger.openRelay();
    const published = await ledger.sell(1);
    await relay.round();
    const [elsewhere = 0] = await ledger.sell(1);
    await ledger.sale.rows(
      "update ledger_cursors set (epoch, txid, id) = (select epoch, txid, id from seat_events where seat_id = $1)",
      [elsewhere],
    );
    await relay.round();
    const next = await ledger.sell(1);
    await relay.round();
    expect(ledger.sink.arrivals()).toEqual(identities([...published, elsewhere, ...next]));
  });

  test("one whose session broke comes back by itself", async () => {
    const relay = ledger.openRelay();
    await relay.round();
    const seatIds = await ledger.sell(1);
    await ledger.terminateLeader();
    const back = async () => (await relay.round()).publishedCount === 1;
    await untilWithin(DEADLINE_MS, "it publishes again", back);
    expect(ledger.sink.arrivals()).toEqual(identities(seatIds));
  });
});

describe("over two epochs", () => {
  const AHEAD = 9_000_000_000;

  /** The first epoch is over; its cluster's transaction numbers were far ahead of this one's. */
  const endEpoch = async () => {
    const { rows } = ledger.sale;
    const ahead = (column: string) => `${column} = (${column}::text::bigint + ${AHEAD})::text::xid8`;
    await rows(`update seat_events set ${ahead("txid")} where epoch = 1`);
    await rows(`update seats set ${ahead("last_txid")} where last_epoch = 1`);
    await rows(`update ledger_cursors set ${ahead("txid")} where epoch = 1`);
    await rows("insert into ledger_epochs select 2, system_identifier, timeline from ledger_epochs");
  };

  test("the older's events go first, in order, although their transaction numbers are higher", async () => {
    const [seatId = 0, other = 0] = await ledger.sell(2);
    await endEpoch();
    await ledger.cancelOne(seatId, 1);
    await ledger.openRelay().round();
    expect(ledger.sink.arrivals()).toEqual([`${seatId}:1`, `${other}:1`, `${seatId}:2`]);
    const sources = ledger.sink.events.map(({ headers: { ce_source } }) => ce_source);
    expect(sources.map((source) => source?.split("/").at(-1))).toEqual(["1", "1", "2"]);
  });

  test("the older's events wait for no running transaction: nobody writes them any more", async () => {
    const seatIds = await ledger.sell(2);
    await endEpoch();
    const session = await ledger.sale.session();
    await session.query("begin");
    await session.query("select pg_current_xact_id()");
    await ledger.sell(1);
    await ledger.openRelay().round();
    expect(ledger.sink.arrivals()).toEqual(identities(seatIds));
  });

  test("a cursor in the older goes on into the newer, without repeating and without skipping", async () => {
    const first = await ledger.sell(1);
    await ledger.publish();
    await endEpoch();
    const second = await ledger.sell(1);
    await ledger.openRelay().round();
    expect(ledger.sink.arrivals()).toEqual(identities([...first, ...second]));
  });
});
