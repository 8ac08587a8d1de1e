import { isIPv6 } from "node:net";
import { z } from "zod";

export const integer = (low: number, high: number) =>
  z
    .string()
    .regex(/^\d+$/, `must be a whole number from ${low} to ${high}`)
    .transform(Number)
    .refine((value) => value >= low && value <= high, `must be a whole number from ${low} to ${high}`);

export const flag = z
  .enum(["true", "false"], "must be true or false")
  .transform((value): boolean => value === "true");

export const urlOf = (protocols: string[], example: string) =>
  z
    .string()
    .refine(
      (value) => URL.canParse(value) && protocols.some((protocol) => value.startsWith(`${protocol}//`)),
      `must be a URL such as ${example}`,
    );

export const listOf = <T extends z.ZodType<unknown, string>>(item: T) =>
  z
    .string()
    .transform((text) => text.split(",").map((part) => part.trim()))
    .pipe(z.array(item).min(1).max(9));

const BROKER = /^(?:\[([\da-fA-F:.]+)\]|[\w.-]+):(\d{1,5})$/;

export const broker = z.string().refine((value) => {
  const [, ipv6, port] = BROKER.exec(value) ?? [];
  return port !== undefined && Number(port) <= 65535 && (ipv6 === undefined || isIPv6(ipv6));
}, "must be a comma-separated list of host:port, with IPv6 addresses as [::1]:9092");

/** Far more than any shop has. */
const ORIGIN_LIMIT = 100;
const ORIGIN = "must be * or a comma-separated list of origins such as https://shop.example, without a path";
/**
 * Returns whether this is an origin as a browser sends it: http(s) in its shortest form, or the scheme of an
 * app's pages.
 */
const isOrigin = (text: string) =>
  /^https?:/i.test(text)
    ? URL.canParse(text) && new URL(text).origin === text
    : /^[a-z][a-z0-9+.-]*:\/\/[a-z0-9.-]+(:\d+)?$/.test(text);

/** A list of origins, or `*` for every origin. */
export const origins = z.string().transform((text, context): string[] | "*" => {
  if (text.trim() === "*") return "*";
  const list = text.split(",").map((part) => part.trim());
  const wrong = list.find((each) => !isOrigin(each));
  if (wrong !== undefined || list.length > ORIGIN_LIMIT)
    context.addIssue({ code: "custom", message: ORIGIN });
  return list;
});
