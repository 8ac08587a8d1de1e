import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { connect } from "node:tls";
import type { Authority, Certificate } from "../fixtures/certificates.ts";
import { startChild } from "../fixtures/child.ts";
import { freePort } from "../fixtures/free-port.ts";
import { present } from "../fixtures/parts.ts";
import { findRedis } from "../fixtures/redis.ts";
import { tempDir } from "../fixtures/temp-dir.ts";
import { until } from "../fixtures/until.ts";

const USER = "sentinel";
export const PASSWORD = "r3dis-s3cret";
const STOP_TIMEOUT_MS = 5_000;

/** What `docs/operations/redis.md` gives an engine's user, and nothing else: its own keys and channels, these commands. */
export const RIGHTS =
  "~sentinel:* &sentinel:* +ping +get +pttl +scan +set +del +exists +incrby +eval +evalsha +publish +subscribe";

export interface DemandingRedis {
  /** Over TLS, as that user. */
  urlOf(password?: string): string;
  port: number;
  /** Starts again at the same address, showing another certificate. */
  show(certificate: Certificate): Promise<void>;
  kill(): Promise<void>;
}

/** A Redis with no plain port, where a client needs a certificate, a user and a password. */
export async function openDemandingRedis(
  stack: AsyncDisposableStack,
  authority: Authority,
): Promise<DemandingRedis> {
  const program = present(findRedis());
  const port = await freePort();
  const dir = await tempDir("demanding-redis");
  stack.defer(dir.remove);
  const users = join(dir.path, "users.acl");
  await writeFile(users, `user default off\nuser ${USER} on >${PASSWORD} ${RIGHTS}\n`);
  const start = (shown: Certificate) =>
    startChild("redis with TLS", [
      ...[program, "--port", "0", "--tls-port", String(port), "--bind", "127.0.0.1", "--dir", dir.path],
      ...["--tls-cert-file", shown.certFile, "--tls-key-file", shown.keyFile],
      ...["--tls-ca-cert-file", authority.caFile, "--tls-auth-clients", "yes"],
      ...["--aclfile", users, "--save", "", "--appendonly", "no"],
    ]);
  let child = start(authority.issue());
  stack.defer(async () => void (await child.end("SIGTERM", STOP_TIMEOUT_MS)));
  const listens = async () => {
    await until(`Redis listens on port ${port}`, () => child.exitCode() !== undefined || accepts(port));
    if (child.exitCode() !== undefined) throw new Error(`Redis did not start:\n${child.output()}`);
  };
  await listens();
  return {
    port,
    urlOf: (password = PASSWORD) => `rediss://${USER}:${password}@127.0.0.1:${port}`,
    show: async (certificate) => {
      await child.kill();
      child = start(certificate);
      await listens();
    },
    kill: () => child.kill(),
  };
}

/** Whether there is a handshake, whatever comes of it. */
function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false }, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
