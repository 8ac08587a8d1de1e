import { runEngine } from "../engine/command.ts";

export const KEY = /^sentinel_[0-9a-f]{32}_[\w-]{43}$/;

/** Headers that send the key. */
export const bearer = (key: string) => ({ authorization: `Bearer ${key}` });

/** An API key made by the command, as an operator makes it. */
export async function makeKey(env: Record<string, string>, role: "admin" | "seller" | "reader") {
  const made = await runEngine(env, { args: ["keys", "create", "--role", role, "--name", `a ${role}`] });
  if (made.exitCode !== 0) throw new Error(`no key was made:\n${made.stderr}`);
  return made.stdout.trim();
}

/** The UUID in a key. */
export function idOf(key: string): string {
  const digits = key.slice("sentinel_".length, "sentinel_".length + 32);
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

export async function ask(url: string, method: string, path: string, init: RequestInit = {}) {
  const answer = await fetch(url + path, { method, ...init });
  const text = await answer.text();
  const json: Record<string, unknown> = answer.headers.get("content-type")?.includes("json")
    ? JSON.parse(text)
    : {};
  return { status: answer.status, headers: answer.headers, text, json };
}

export const slugOf = ({ json }: Awaited<ReturnType<typeof ask>>) =>
  String(json["type"]).replace("urn:sentinel:problem:", "");
