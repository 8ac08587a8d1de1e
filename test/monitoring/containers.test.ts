import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { z } from "zod";
import packageJson from "../../package.json" with { type: "json" };
import { readConfig } from "../../src/config/config.ts";
import { tellSkipped } from "../fixtures/parts.ts";
import { run } from "./tools.ts";

const ROOT = resolve(import.meta.dir, "../..");
const COMPOSE = `${ROOT}/docker-compose.yml`;

const service = z.looseObject({
  image: z.string().optional(),
  build: z.string().optional(),
  environment: z.record(z.string(), z.string()).default({}),
  ports: z.array(z.string()).default([]),
  volumes: z.array(z.string()).default([]),
  depends_on: z.record(z.string(), z.object({ condition: z.string() })).default({}),
  healthcheck: z.object({ test: z.array(z.string()).min(2) }),
  security_opt: z.array(z.string()),
  cap_drop: z.array(z.string()),
  read_only: z.boolean().optional(),
  user: z.string().optional(),
  privileged: z.boolean().optional(),
  cap_add: z.array(z.string()).default([]),
  network_mode: z.string().optional(),
  pid: z.string().optional(),
  tmpfs: z.array(z.string()).default([]),
  secrets: z.array(z.string()).default([]),
  mem_limit: z.string().optional(),
  pids_limit: z.number().optional(),
  stop_grace_period: z.string().optional(),
});
const composeFile = z.looseObject({
  services: z.record(z.string(), service),
  volumes: z.record(z.string(), z.unknown()),
  secrets: z.record(z.string(), z.object({ file: z.string() })),
});
const { services, volumes, secrets } = composeFile.parse(Bun.YAML.parse(await Bun.file(COMPOSE).text()));
const { engine, kafka } = z.object({ engine: service, kafka: service }).parse(services);
const secretFile = (name: string) =>
  resolve(ROOT, (secrets[name]?.file ?? "").replace(/\$\{\w+:-([^}]*)\}/, "$1"));
const readSecretFile = (name: string) => readFileSync(secretFile(name), "utf8").trimEnd();
const dockerfile = await Bun.file(`${ROOT}/Dockerfile`).text();

const composeCommands = [["docker-compose"], ["docker", "compose"]].filter(
  ([program = "", ...rest]) => Bun.which(program) && run([program, ...rest, "version"], ROOT).exitCode === 0,
);
if (composeCommands.length === 0) {
  tellSkipped("docker-compose", "no docker-compose and no docker compose is on PATH");
}

describe.skipIf(composeCommands.length === 0)("Compose", () => {
  test("accepts the file", () => {
    for (const command of composeCommands) {
      expect(run([...command, "-f", COMPOSE, "config", "--quiet"], ROOT)).toEqual({
        exitCode: 0,
        output: "",
      });
    }
  });
});

describe("the Compose file", () => {
  test("pins every image to a version", () => {
    for (const { image, build } of Object.values(services)) {
      if (!build) expect(image).toMatch(/^[a-z/]+:v?\d+\.\d+/);
    }
  });

  test("publishes ports on loopback only, and those of the contract", () => {
    const published = Object.fromEntries(Object.entries(services).map(([name, { ports }]) => [name, ports]));
    const only = (port: number) => [`127.0.0.1:${port}:${port}`];
    expect(published).toEqual({
      engine: only(8080),
      postgres: only(5432),
      redis: only(6379),
      kafka: only(9092),
      prometheus: only(9090),
      grafana: only(3000),
    });
  });

  test("gives no service a capability or a way to get one, and starts each after the health of what it needs", () => {
    for (const { security_opt, cap_drop, depends_on } of Object.values(services)) {
      expect(security_opt).toContain("no-new-privileges:true");
      expect(cap_drop).toEqual(["ALL"]);
      for (const [needed, { condition }] of Object.entries(depends_on)) {
        expect(services[needed]).toBeDefined();
        expect(condition).toBe("service_healthy");
      }
    }
  });

  test.each(Object.entries(services))(
    "runs %s as an ordinary user that can write in its volumes and its memory only, within limits",
    (_, { user, read_only, privileged, cap_add, network_mode, pid, mem_limit, pids_limit, ...rest }) => {
      expect(user).toMatch(/^(bun|postgres|redis|appuser|nobody|472)$/);
      expect(read_only).toBe(true);
      expect([privileged, network_mode, pid]).toEqual([undefined, undefined, undefined]);
      expect(cap_add).toEqual([]);
      expect(mem_limit).toMatch(/^\d+[mg]$/);
      expect(pids_limit).toBeWithin(1, 1025);
      expect(rest.volumes.filter((mount) => mount.startsWith("/") || mount.includes("docker.sock"))).toEqual(
        [],
      );
      for (const mount of rest.volumes) if (mount.startsWith("./")) expect(mount).toEndWith(":ro");
    },
  );

  test("gives passwords by files that are there, and none in the environment", () => {
    for (const { environment, secrets: own } of Object.values(services)) {
      for (const [name, value] of Object.entries(environment)) {
        if (/PASSWORD|SECRET|TOKEN|DATABASE_URL/.test(name)) expect(name).toEndWith("_FILE");
        expect(value).not.toMatch(/:\/\/[^/]*:[^/]*@/);
        const [, secret] = /^\/run\/secrets\/(.+)$/.exec(value) ?? [];
        if (secret) expect(own).toContain(secret);
      }
      for (const secret of own) expect(readSecretFile(secret).length).toBeGreaterThan(1);
    }
    expect(readSecretFile("database-url")).toContain(`:${readSecretFile("postgres-password")}@`);
  });

  test("starts the infrastructure without the engine", async () => {
    const [, command] =
      /Infrastructure only:\s+docker compose up -d ([a-z ]+)/.exec(await Bun.file(COMPOSE).text()) ?? [];
    const started = new Set(command?.split(" "));
    expect([...started].sort()).toEqual(
      Object.keys(services)
        .filter((name) => name !== "engine")
        .sort(),
    );
    for (const name of started) {
      for (const needed of Object.keys(services[name]?.depends_on ?? {}))
        expect([...started]).toContain(needed);
    }
  });

  test("mounts only folders that exist and volumes that are named", () => {
    for (const mount of Object.values(services).flatMap((each) => each.volumes)) {
      const [source = ""] = mount.split(":");
      if (source.startsWith("./")) expect(existsSync(resolve(ROOT, source))).toBe(true);
      else expect(Object.keys(volumes)).toContain(source);
    }
  });

  test("gives the engine settings that it accepts, every part from outside, and time to end by itself", () => {
    const environment = Object.fromEntries(
      Object.entries(engine.environment).map(([name, text]) => [
        name,
        text
          .replace(/\$\{\w+:-([^}]*)\}/g, "$1")
          .replace(/^\/run\/secrets\/(.+)$/, (_, secret: string) => secretFile(secret)),
      ]),
    );
    const config = readConfig(environment);
    expect(config).toMatchObject({ port: 8080, host: "0.0.0.0" });
    expect(config.databaseUrl && config.redisUrl && config.kafkaBrokers).toBeTruthy();
    const [, graceSeconds] = /^(\d+)s$/.exec(engine.stop_grace_period ?? "") ?? [];
    expect(Number(graceSeconds) * 1000).toBeGreaterThan(config.shutdownTimeoutMs);
  });

  test("tells Kafka the contract's partitions and a listener for the host", () => {
    const { KAFKA_BROKERS: inside } = engine.environment;
    expect(kafka.environment).toMatchObject({
      KAFKA_NUM_PARTITIONS: "3",
      KAFKA_ADVERTISED_LISTENERS: `CONTAINERS://${inside},HOST://127.0.0.1:9092`,
    });
  });
});

describe("the image", () => {
  const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, paths = ""]) =>
    paths.split(" "),
  );

  test("is made with the Bun that the package names, and runs as nobody special", () => {
    const bases = [...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, image]) => image);
    const [name, version] = packageJson.packageManager.split("@");
    expect(new Set(bases)).toEqual(new Set([`oven/${name}:${version}-slim`]));
    expect(dockerfile).toMatch(/^USER bun$/m);
    expect(dockerfile).not.toMatch(/^USER root$/m);
  });

  test("gets what the engine runs from, and the build context holds exactly that", async () => {
    const ignore = (await Bun.file(`${ROOT}/.dockerignore`).text())
      .split("\n")
      .filter((line) => /^[^#]/.test(line));
    const [everything, ...exceptions] = ignore;
    expect(everything).toBe("*");
    expect(exceptions.map((line) => line.slice(1)).sort()).toEqual([...new Set(copied)].sort());
    expect(copied).toEqual(expect.arrayContaining(["src", "workers", "drizzle", "package.json", "bun.lock"]));
    for (const path of copied) expect(existsSync(resolve(ROOT, path))).toBe(true);
  });
});
