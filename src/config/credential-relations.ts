import { createSecureContext } from "node:tls";
import type { Credentials } from "./credential-settings.ts";
import type { TlsFiles } from "./secret-files.ts";

/** How to connect to Kafka, as plain data for the publisher's thread. Absent fields are not used. */
export interface KafkaSecurity {
  tls?: TlsFiles;
  sasl?: { mechanism: "plain" | "scram-sha-256" | "scram-sha-512"; username: string; password: string };
}

const MECHANISMS = {
  PLAIN: "plain",
  "SCRAM-SHA-256": "scram-sha-256",
  "SCRAM-SHA-512": "scram-sha-512",
} as const;

/** Returns the TLS files for every connection to a `rediss://` server. */
export const redisTlsOf = (given: Credentials): TlsFiles =>
  tlsFiles(given.redisTlsCaFile, given.redisTlsCertFile, given.redisTlsKeyFile);

/** Returns the security settings for every connection to Kafka. */
export function kafkaSecurityOf(given: Credentials): KafkaSecurity {
  const { kafkaSecurityProtocol: protocol } = given;
  const { kafkaSaslMechanism: mechanism, kafkaSaslUsername: username, kafkaSaslPassword: password } = given;
  return {
    ...(protocol.endsWith("SSL") && { tls: kafkaTlsOf(given) }),
    ...(mechanism &&
      username &&
      password && { sasl: { mechanism: MECHANISMS[mechanism], username, password } }),
  };
}

const kafkaTlsOf = (given: Credentials): TlsFiles =>
  tlsFiles(given.kafkaSslCaFile, given.kafkaSslCertFile, given.kafkaSslKeyFile);

const tlsFiles = (ca: string | undefined, cert: string | undefined, key: string | undefined): TlsFiles => ({
  ...(ca !== undefined && { ca }),
  ...(cert !== undefined && { cert }),
  ...(key !== undefined && { key }),
});

/**
 * Finds credentials that are incomplete or would be unused. An operator who asks for encryption must never
 * get plain text.
 * @returns a line that starts with the variable to correct, or undefined
 */
export function credentialFault(given: Credentials & { redisUrl: string[] | undefined }): string | undefined {
  const { redisUrl = [], kafkaSecurityProtocol: protocol } = given;
  const hasRedisTls = redisUrl.some((url) => url.startsWith("rediss:"));
  const hasKafkaTls = protocol.endsWith("SSL");
  return (
    strayFile("REDIS_TLS", redisTlsOf(given), hasRedisTls || "REDIS_URL has no rediss:// address") ??
    strayFile("KAFKA_SSL", kafkaTlsOf(given), hasKafkaTls || `KAFKA_SECURITY_PROTOCOL is ${protocol}`) ??
    faultOfFiles("REDIS_TLS", redisTlsOf(given)) ??
    faultOfFiles("KAFKA_SSL", kafkaTlsOf(given)) ??
    faultOfSasl(given)
  );
}

/** @param used true, or the reason why no connection would use the files */
function strayFile(prefix: string, files: TlsFiles, used: true | string): string | undefined {
  const [first] = Object.keys(files);
  if (first === undefined || used === true) return undefined;
  return `${prefix}_${first.toUpperCase()}_FILE: ${used}, so it would be unused: correct one of the two`;
}

function faultOfFiles(prefix: string, { ca, cert, key }: TlsFiles): string | undefined {
  if (ca !== undefined && !isAccepted({ ca })) {
    return `${prefix}_CA_FILE: must be the path of a PEM file; the certificate in this one is damaged`;
  }
  if (cert !== undefined && key === undefined)
    return `${prefix}_KEY_FILE: must be set with ${prefix}_CERT_FILE`;
  if (cert === undefined && key !== undefined)
    return `${prefix}_CERT_FILE: must be set with ${prefix}_KEY_FILE`;
  if (cert !== undefined && key !== undefined && !isAccepted({ cert, key })) {
    return `${prefix}_KEY_FILE: must be the key of the certificate in ${prefix}_CERT_FILE, without a passphrase`;
  }
  return undefined;
}

function isAccepted(files: TlsFiles): boolean {
  try {
    createSecureContext(files);
    return true;
  } catch {
    return false;
  }
}

function faultOfSasl(given: Credentials): string | undefined {
  const { kafkaSecurityProtocol: protocol } = given;
  const isWanted = protocol.startsWith("SASL");
  const settings = {
    KAFKA_SASL_MECHANISM: given.kafkaSaslMechanism,
    KAFKA_SASL_USERNAME: given.kafkaSaslUsername,
    KAFKA_SASL_PASSWORD: given.kafkaSaslPassword,
  };
  const [stray] = Object.entries(settings).find(([, value]) => (value === undefined) === isWanted) ?? [];
  if (stray === undefined) return undefined;
  return isWanted
    ? `${stray}: must be set if KAFKA_SECURITY_PROTOCOL is ${protocol}`
    : `${stray}: KAFKA_SECURITY_PROTOCOL is ${protocol}, so it would be unused: correct one of the two`;
}
