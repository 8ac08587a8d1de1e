import { chmod, chown, copyFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Client } from "pg";
import { openOwnPostgres } from "../engine/own-postgres.ts";
import type { Authority, Certificate } from "../fixtures/certificates.ts";
import { untilWithin } from "../fixtures/until.ts";

export const PASSWORD = "p0stgres-s3cret";
/** Owns the database and comes with a password; the other one comes with a certificate alone. */
export const BY_PASSWORD = "by_password";
export const BY_CERTIFICATE = "by_certificate";
const DATABASE = "sale";

export interface DemandingPostgres {
  /** As that user, `settings` after the question mark. */
  urlOf(user: string, settings: string, host?: string): string;
  /** Shows another certificate to all later connections. */
  show(certificate: Certificate): Promise<void>;
}

/** A Postgres that nobody gets into without TLS; one user needs a SCRAM password, one a certificate in its name. */
export async function openDemandingPostgres(
  stack: AsyncDisposableStack,
  authority: Authority,
): Promise<DemandingPostgres> {
  const postgres = await openOwnPostgres(stack);
  const admin = new Client({ connectionString: postgres.url });
  await admin.connect();
  stack.defer(() => admin.end());
  for (const statement of [
    `create role ${BY_PASSWORD} login password '${PASSWORD}'`,
    `create role ${BY_CERTIFICATE} login in role ${BY_PASSWORD}`,
    `create database ${DATABASE} owner ${BY_PASSWORD}`,
  ])
    await admin.query(statement);

  const { rows } = await admin.query<{ data_directory: string }>("show data_directory");
  const folder = rows[0]?.data_directory ?? "";
  const { uid, gid } = await stat(folder);
  const own = async (name: string, source: string) => {
    const path = join(folder, name);
    await copyFile(source, path);
    await chmod(path, 0o600);
    await chown(path, uid, gid);
  };
  const reload = async () => {
    const before = await admin.query("select pg_conf_load_time() as at");
    await admin.query("select pg_reload_conf()");
    await untilWithin(
      5000,
      "Postgres has read its settings again",
      async () =>
        (await admin.query("select pg_conf_load_time() > $1 as done", [before.rows[0]?.at])).rows[0]?.done,
    );
  };
  const show = async ({ certFile, keyFile }: Certificate) => {
    await own("shown.crt", certFile);
    await own("shown.key", keyFile);
    await reload();
  };
  await own("clients.crt", authority.caFile);
  const { certFile, keyFile } = authority.issue();
  await own("shown.crt", certFile);
  await own("shown.key", keyFile);
  for (const [setting, value] of Object.entries({
    ssl: "on",
    ssl_cert_file: "shown.crt",
    ssl_key_file: "shown.key",
    ssl_ca_file: "clients.crt",
  }))
    await admin.query(`alter system set ${setting} = '${value}'`);
  await writeFile(
    join(folder, "pg_hba.conf"),
    `hostssl all ${BY_PASSWORD} 127.0.0.1/32 scram-sha-256\nhostssl all ${BY_CERTIFICATE} 127.0.0.1/32 cert\n`,
  );
  await reload();
  const { port } = new URL(postgres.url);
  return {
    urlOf: (user, settings, host = "127.0.0.1") =>
      `postgres://${user}${user === BY_PASSWORD ? `:${PASSWORD}` : ""}@${host}:${port}/${DATABASE}?${settings}`,
    show,
  };
}
