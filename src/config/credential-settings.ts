import { z } from "zod";
import { readText } from "./secret-files.ts";

const USERNAME_LIMIT_CHARACTERS = 512;
/** Generous, because tokens of cloud services serve as passwords. */
const PASSWORD_LIMIT_CHARACTERS = 8192;

/** Reads the text of the PEM file at the given path. */
const pemFile = (kind: "CERTIFICATE" | "PRIVATE KEY") =>
  z
    .string()
    .transform((path, context) => {
      const read = readText(path);
      if ("text" in read && read.text.includes(`${kind}-----`)) return read.text;
      const fault = "fault" in read ? read.fault : `contains no ${kind.toLowerCase()}`;
      context.addIssue({ code: "custom", message: `must be the path of a PEM file; this one ${fault}` });
      return z.NEVER;
    })
    .optional();

const authorities = (meaning: string) => ({
  ...{ type: pemFile("CERTIFICATE"), fallback: undefined, shown: "the system's authorities", meaning },
});
const certificate = (meaning: string) => ({
  ...{ type: pemFile("CERTIFICATE"), fallback: undefined, shown: "none is sent", meaning },
});
const privateKey = {
  ...{ type: pemFile("PRIVATE KEY"), fallback: undefined, shown: "none is used" },
  meaning: "PEM file of the certificate's private key, without a passphrase",
};

/** The settings of TLS and authentication. Postgres has all of these in DATABASE_URL. */
export const credentialKnobs = {
  redisTlsCaFile: authorities("PEM file of the authorities trusted for rediss:// servers"),
  redisTlsCertFile: certificate("PEM file of this engine's own certificate for rediss:// servers"),
  redisTlsKeyFile: privateKey,
  kafkaSecurityProtocol: {
    type: z.enum(
      ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"],
      "must be one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL",
    ),
    fallback: "PLAINTEXT",
    meaning: "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL: SSL uses TLS, SASL logs in as a user",
  },
  kafkaSaslMechanism: {
    type: z
      .enum(["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"], "must be one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512")
      .optional(),
    ...{ fallback: undefined, shown: "not used" },
    meaning: "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; PLAIN sends the password itself",
  },
  kafkaSaslUsername: {
    ...{ type: z.string().max(USERNAME_LIMIT_CHARACTERS).optional(), fallback: undefined, shown: "not used" },
    meaning: "the engine's Kafka user",
  },
  kafkaSaslPassword: {
    ...{ type: z.string().max(PASSWORD_LIMIT_CHARACTERS).optional(), fallback: undefined, shown: "not used" },
    secret: true,
    meaning: "the Kafka user's password",
  },
  kafkaSslCaFile: authorities("PEM file of the authorities trusted for Kafka"),
  kafkaSslCertFile: certificate("PEM file of this engine's own certificate for Kafka"),
  kafkaSslKeyFile: privateKey,
} as const;

/** The credentials from the environment, validated one by one; `credential-relations.ts` validates them together. */
export type Credentials = {
  [Name in keyof typeof credentialKnobs]: z.output<(typeof credentialKnobs)[Name]["type"]>;
};
