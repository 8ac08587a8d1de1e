import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect, createServer } from "node:net";
import { Client } from "pg";
import { createDatabase } from "./postgres.ts";
import { until, within } from "./until.ts";
import { startWire, type Wire } from "./wire.ts";

const WAIT_MS = 5000;

describe("a wire to Postgres", () => {
  const stack = new AsyncDisposableStack();
  let wire: Wire;
  let facts: Client;

  beforeAll(async () => {
    const database = await createDatabase("empty");
    stack.defer(database.drop);
    wire = await startWire(database.url);
    stack.defer(wire.stop);
    facts = await open(database.url);
    await facts.query("create table noted (what text primary key)");
  });
  afterAll(() => stack.disposeAsync());

  const open = async (url = wire.url) => {
    const client = new Client({ connectionString: url });
    client.on("error", () => undefined);
    await client.connect();
    stack.defer(() => client.end().catch(() => undefined));
    return client;
  };
  const note = (client: Client, what: string) =>
    client.query({ name: "note", text: "insert into noted values ($1)", values: [what] }).then(
      () => "answered",
      () => "lost",
    );
  const isNoted = async (what: string) =>
    (await facts.query("select from noted where what = $1", [what])).rowCount === 1;

  test("holds a statement before the server has it, and others go on", async () => {
    const [client, other] = [await open(), await open()];
    const reached = wire.holdWhen("'held'", "toServer");
    const answer = client.query("insert into noted values ('held')");
    const held = await reached;
    expect(await note(other, "other")).toBe("answered");
    expect(await isNoted("held")).toBe(false);
    held.release();
    await answer;
    expect(await isNoted("held")).toBe(true);
  });

  test("knows a prepared statement by its name, at its first use and at every later one", async () => {
    const client = await open();
    for (const what of ["first", "second"]) {
      const reached = wire.holdWhen("note", "toServer");
      const answer = note(client, what);
      const held = await reached;
      expect(await isNoted(what)).toBe(false);
      held.release();
      expect(await answer).toBe("answered");
    }
  });

  test("holds the answer to a statement that is committed by then", async () => {
    const client = await open();
    const reached = wire.holdWhen("answer held", "toClient");
    const answer = note(client, "answer held");
    const held = await reached;
    expect(await isNoted("answer held")).toBe(true);
    await expect(within(answer, 50, "the answer")).rejects.toThrow("longer");
    held.release();
    expect(await answer).toBe("answered");
    expect(await note(client, "and goes on")).toBe("answered");
  });

  test("cut, what was held never arrives and its sender is told so at once", async () => {
    const client = await open();
    const reached = wire.holdWhen("cut off", "toServer");
    const answer = note(client, "cut off");
    (await reached).cut();
    expect(await within(answer, WAIT_MS, "the loss")).toBe("lost");
    expect(await isNoted("cut off")).toBe(false);
    expect(await note(await open(), "afterwards")).toBe("answered");
  });

  test("lost, its sender is told so at once, and released it arrives all the same: it was on the way", async () => {
    const client = await open();
    const before = wire.connections();
    const reached = wire.holdWhen("on the way", "toServer");
    const answer = note(client, "on the way");
    const held = await reached;
    held.lose();
    expect(await within(answer, WAIT_MS, "the loss")).toBe("lost");
    expect(await isNoted("on the way")).toBe(false);
    held.release();
    await until(() => isNoted("on the way"), { deadlineMs: WAIT_MS, what: "it is noted" });
    await until(() => wire.connections() === before - 1, { deadlineMs: WAIT_MS, what: "it is closed" });
  });

  test("holds one message after the other of one transaction, and meets no other session's", async () => {
    const [client, other] = [await open(), await open()];
    const reached = wire.holdWhen("of two", "toClient");
    const work = (async () => {
      await client.query("begin");
      await note(client, "of two");
      await client.query("commit");
    })();
    const inTransaction = await reached;
    const committed = inTransaction.releaseUntil("commit\0", "toClient");
    await other.query("begin; insert into noted values ('of another')");
    await other.query("commit");
    const held = await committed;
    expect(await isNoted("of two")).toBe(true);
    await expect(within(work, 50, "the transaction")).rejects.toThrow("longer");
    held.release();
    await work;
  });
});

test("a wire meets a text that comes in two pieces, and not one that has passed before", async () => {
  await using stack = new AsyncDisposableStack();
  const echo = createServer((socket) => socket.pipe(socket));
  await new Promise<void>((resolve) => echo.listen(0, "127.0.0.1", resolve));
  stack.defer(async () => void echo.close());
  const address = echo.address();
  const wire = await startWire(`tcp://127.0.0.1:${typeof address === "object" && address?.port}`);
  stack.defer(wire.stop);
  let heard = "";
  const socket = connect(wire.port, "127.0.0.1").setNoDelay(true);
  socket.on("data", (bytes) => {
    heard += bytes;
  });
  const isHeard = (text: string) => until(() => heard === text, { deadlineMs: WAIT_MS, what: text });

  socket.write("a text, a te");
  await isHeard("a text, a te");
  const reached = wire.holdWhen("text", "toServer");
  socket.write("st, a te");
  await isHeard("a text, a test, a te");
  socket.write("xt");
  const held = await reached;
  expect(heard).toBe("a text, a test, a te");
  held.release();
  await isHeard("a text, a test, a text");
  socket.destroy();
});
