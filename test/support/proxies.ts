import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { type Child, startChild } from "./child.ts";
import type { Missing } from "./parts.ts";
import { tempDir } from "./temp-dir.ts";
import { until } from "./until.ts";

const PAGE = resolve(import.meta.dir, "../../docs/operations/restarts.md");
const START_DEADLINE_MS = 10_000;
const STOP_TIMEOUT_MS = 5_000;

export interface ProxyPorts {
  listen: number;
  one: number;
  two: number;
}

/** Debian keeps servers in /usr/sbin, which an ordinary user's PATH lacks. */
function findServer(name: string): string | Missing {
  const found = [Bun.which(name), `/usr/sbin/${name}`].find((path) => path && existsSync(path));
  return found ?? { missing: `no ${name} is on PATH or in /usr/sbin` };
}
export const findHaproxy = () => findServer("haproxy");
export const findNginx = () => findServer("nginx");

/** The settings of the documentation, so that they are tested: the only block in this language. */
function settingsFor(language: "haproxy" | "nginx"): string {
  const [, block] = new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, "s").exec(readFileSync(PAGE, "utf8")) ?? [];
  if (block === undefined) throw new Error(`${PAGE} has no settings for ${language}`);
  return block;
}

const onPorts = (settings: string, { listen, one, two }: ProxyPorts) =>
  settings
    .replaceAll("127.0.0.1:8080", `127.0.0.1:${listen}`)
    .replaceAll("127.0.0.1:8081", `127.0.0.1:${one}`)
    .replaceAll("127.0.0.1:8082", `127.0.0.1:${two}`);

/** haproxy with the settings of the page, in front of two engines, but with more frequent checks. */
export function startHaproxy(stack: AsyncDisposableStack, program: string, ports: ProxyPorts) {
  const backend = onPorts(settingsFor("haproxy"), ports).replace("inter 2s", "inter 300ms");
  const settings = `defaults
  mode http
  timeout connect 5s
  timeout client 1m
  timeout server 1m
frontend sentinel
  bind 127.0.0.1:${ports.listen}
  default_backend sentinel
${backend}`;
  return startProxy(stack, "haproxy", settings, (file) => [program, "-db", "-f", file], ports.listen);
}

/**
 * nginx with the settings of the page, but it tries an engine again sooner after a refusal than by default.
 * @param protocol by default nginx speaks HTTP/1.0 with `Connection: close`, and still uses a pool.
 */
export function startNginx(
  stack: AsyncDisposableStack,
  program: string,
  ports: ProxyPorts,
  protocol: "1.1" | "default" = "1.1",
) {
  const page = onPorts(settingsFor("nginx"), ports).replaceAll(/(server 127\S+);/g, "$1 fail_timeout=1s;");
  const server =
    protocol === "1.1"
      ? page
      : page.replace(/proxy_http_version .*;\s*|proxy_set_header Connection .*;/g, "");
  return startNginxWith(stack, program, server, ports.listen);
}

/** @param http what stands in the `http` block, with a server that listens on `port`. */
export function startNginxWith(stack: AsyncDisposableStack, program: string, http: string, port: number) {
  const settings = `daemon off;
pid nginx.pid;
error_log stderr;
events {}
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  ${http}
}`;
  const command = (file: string, folder: string) => [program, "-e", "stderr", "-p", folder, "-c", file];
  return startProxy(stack, "nginx", settings, command, port);
}

async function startProxy(
  stack: AsyncDisposableStack,
  name: string,
  settings: string,
  command: (file: string, folder: string) => string[],
  port: number,
): Promise<Child> {
  const folder = await tempDir(name);
  stack.defer(folder.remove);
  const file = join(folder.path, `${name}.conf`);
  await Bun.write(file, settings);
  const child = startChild(name, command(file, folder.path));
  stack.defer(async () => void (await child.end("SIGTERM", STOP_TIMEOUT_MS)));
  await until(async () => (await fetch(`http://127.0.0.1:${port}/health/ready`)).status === 200, {
    deadlineMs: START_DEADLINE_MS,
    what: `${name} answers: ${child.output()}`,
  });
  return child;
}
