import { expect, spyOn, test } from "bun:test";
import { keysCommand } from "../../src/access/command.ts";
import { migrateCommand } from "../../src/access/migrate-command.ts";
import { misspelt, readCommand, START } from "../../src/config/command-line.ts";
import { ConfigError, describeConfig, readConfig } from "../../src/config/config.ts";
import { topicCommand } from "../../src/ledger/topic-command.ts";
import { republishCommand } from "../../src/proof/republish-command.ts";
import { verifyCommand } from "../../src/proof/verify/command.ts";

// What the command line says to wrong words. It runs in this process: commands.test.ts and start.test.ts see one process print such a line.

const config = () => readConfig({ DATABASE_URL: "postgres://127.0.0.1:1/none" });
const readNothing = () => Promise.reject(new Error("nothing is read"));
const KEY = `sentinel_${"0".repeat(32)}_${"s".repeat(43)}`;

/** The exit code and the words of a command; `main` prints the words of an error and exits with 1. */
async function run([subject = "", ...args]: string[]): Promise<{ exitCode: number; told: string }> {
  const printed = spyOn(console, "error").mockImplementation(() => undefined);
  const exitCodeOf = {
    keys: () => keysCommand(args, config).then(() => 0),
    migrate: () => migrateCommand(args, config).then(() => 0),
    verify: () => verifyCommand({ args, readConfig: config, openTopic: readNothing }),
    republish: () => republishCommand({ args, readConfig: config, openStore: readNothing }),
    topic: () => topicCommand({ args, readConfig: config, describeTopic: readNothing }),
  }[subject];
  try {
    if (!exitCodeOf) readCommand([subject, ...args], "process");
    return { exitCode: (await exitCodeOf?.()) ?? 0, told: printed.mock.calls.flat().join("\n") };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { exitCode: 1, told: `sentinel: ${error.message}` };
  } finally {
    printed.mockRestore();
  }
}

test.each<[string[], string]>([
  [["--port", "9000"], `run PORT=9000 ${START}`],
  [["--port=9000"], `run PORT=9000 ${START}`],
  [["--prot", "9000"], `run PORT=9000 ${START}`],
  [["PORT=9000"], `run PORT=9000 ${START}`],
  [["--database-url=postgres://shop:s3cret@db/sale"], `run DATABASE_URL=... ${START}`],
  [["--hlep"], `run ${START} --help`],
  [["kesy", "list"], `run ${START} keys`],
  [["verfy"], `run ${START} verify`],
  [["sell"], "takes keys, "],
])("start %p says what was meant", async (args, told) => {
  const said = await run(args);
  expect(said).toEqual({ exitCode: 1, told: expect.stringContaining(told) });
  expect(said.told).not.toContain("s3cret");
});

test.each<[number, string[], string]>([
  [1, ["keys"], "the command is missing or unknown"],
  [1, ["keys", "make"], "the command is missing or unknown"],
  [1, ["keys", "list", "--role", "admin"], "the command is missing or unknown"],
  [1, ["keys", "lits"], "did you mean list?"],
  [1, ["keys", "create"], "--role must be one of reader, seller, admin"],
  [1, ["keys", "create", "--role", "owner"], "--role must be one of"],
  [1, ["keys", "create", "--role", "admn"], "did you mean admin?"],
  [1, ["keys", "create", "--role", "--name", "me"], "--role: needs a value"],
  [1, ["keys", "create", "--rolle", "admin"], "--rolle: no such option: did you mean --role?"],
  [1, ["keys", "create", "-role", "admin"], "-role: no such option: did you mean --role?"],
  [1, ["keys", "create", "--rôle", "admin"], "--rôle"],
  [1, ["keys", "create", "--role", "admin", "--name", ""], "--name must be"],
  [1, ["keys", "create", "--role", "admin", "--name", "a\nb"], "--name must be"],
  [1, ["keys", "create", "--role", "admin", "--name", "x".repeat(201)], "--name must be"],
  [1, ["keys", "revoke"], "the command is missing or unknown"],
  [1, ["keys", "revoke", KEY], "revoke needs the id"],
  [1, ["migrate", "--gant", "shop"], "did you mean --grant?"],
  [2, ["verify", "--ancor", "1:x"], "did you mean --anchor?"],
  [2, ["verify", "--json=yes"], "--json: takes no value"],
  [2, ["republish", "--aply"], "did you mean --apply?"],
  [2, ["republish", "--seats"], "use one of --apply, --from-start, --help"],
  [2, ["topic", "confirm-partition"], "did you mean confirm-partitions?"],
  [2, ["topic", "--now"], "--now: only confirm-partitions takes it"],
])("exits with %d for %p and names the word", async (exitCode, args, words) => {
  const { told, ...ended } = await run(args);
  expect(ended).toEqual({ exitCode });
  expect(told).toContain(words);
  expect(told).toMatch(new RegExp(`^sentinel: ${args[0]}: .+\\nUsage: `));
  expect(told).not.toContain(KEY);
});

test.each([
  ["PROT", "PORT"],
  ["port", "PORT"],
  ["DATABASE_ULR", "DATABASE_URL"],
  ["DATABSE_URL", "DATABASE_URL"],
  ["REDIS_URLS", "REDIS_URL"],
  ["KAFKA_BROKER", "KAFKA_BROKERS"],
  ["DATADIR", "DATA_DIR"],
  ["WEB_CONCURENCY", "WEB_CONCURRENCY"],
  ["SENTINEL_LOG_LEVEL", "LOG_LEVEL"],
])("the variable %s is told to be no setting, %s is", (variable, meant) => {
  const told = `${variable}: no such setting, so it is ignored: did you mean ${meant}?`;
  expect(misspelt({ [variable]: "x" })).toEqual([told]);
});

test("no setting is told to be another one, and none of what shells set", () => {
  const settings = describeConfig().map(({ variable }) => variable);
  for (const name of [...settings, "HOSTNAME", "HOSTTYPE", "HOME", "PS1", "PATH"])
    expect(misspelt({ [name]: "" })).toEqual([]);
});
