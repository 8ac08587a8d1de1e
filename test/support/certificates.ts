import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { findProgram, type Missing, present } from "./parts.ts";
import { tempDir } from "./temp-dir.ts";

const TODAY_DAYS = 2;
/** Ends before it begins: over already, on every machine's clock. */
const EXPIRED_DAYS = -1;

/** PEM files, for a program's settings. */
export interface Certificate {
  certFile: string;
  keyFile: string;
}

/** A certificate authority of one test, with a folder of its own. */
export interface Authority {
  caFile: string;
  /** For 127.0.0.1 and localhost unless other names are given; `user` is what a client is known by. */
  issue(options?: { user?: string; names?: string; expired?: boolean }): Certificate;
}

/** What makes certificates: neither Node nor Bun can. */
export const findOpenssl = (): string | Missing => findProgram("openssl");

export async function openAuthority(stack: AsyncDisposableStack): Promise<Authority> {
  const openssl = present(findOpenssl());
  const dir = await tempDir("authority");
  stack.defer(dir.remove);
  const path = (name: string) => join(dir.path, name);
  const run = (...args: string[]) => {
    const { success, stderr } = Bun.spawnSync([openssl, ...args], { stderr: "pipe", stdout: "ignore" });
    if (!success) throw new Error(`openssl ${args[0]} failed: ${stderr}`);
  };
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const caFile = path("ca.crt");
  run(
    ...["req", "-x509", ...newKey, "-keyout", path("ca.key"), "-out", caFile, "-subj", "/CN=test authority"],
    ...["-days", String(TODAY_DAYS), "-addext", "keyUsage=critical,keyCertSign"],
  );
  let count = 0;
  const issue: Authority["issue"] = ({
    user = "server",
    names = "IP:127.0.0.1,DNS:localhost",
    expired = false,
  } = {}) => {
    const number = ++count;
    const [keyFile, certFile] = [path(`${number}.key`), path(`${number}.crt`)];
    const [request, extensions] = [path(`${number}.csr`), path(`${number}.ext`)];
    run("req", "-new", ...newKey, "-keyout", keyFile, "-out", request, "-subj", `/CN=${user}`);
    writeFileSync(extensions, `subjectAltName=${names}\n`);
    run(
      ...["x509", "-req", "-in", request, "-CA", caFile, "-CAkey", path("ca.key"), "-CAcreateserial"],
      ...["-out", certFile, "-extfile", extensions, "-days", String(expired ? EXPIRED_DAYS : TODAY_DAYS)],
    );
    return { certFile, keyFile };
  };
  return { caFile, issue };
}
