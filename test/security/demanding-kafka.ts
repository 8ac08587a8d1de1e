import { readFileSync, writeFileSync } from "node:fs";
import type { Authority, Certificate } from "../fixtures/certificates.ts";
import { freePort } from "../fixtures/free-port.ts";
import { type KafkaBroker, type SecureListener, startKafka } from "../fixtures/kafka.ts";

export const USER = "sentinel";
export const PASSWORD = "k4fka-s3cret";
const LOGIN = "org.apache.kafka.common.security";

/** Addresses of one broker. */
export interface DemandingKafka {
  broker: KafkaBroker;
  /** TLS, and a user's password by any of the mechanisms. */
  byPassword: string;
  /** TLS, and a certificate of the client's own. */
  byCertificate: string;
  /** Like `byPassword`, showing the certificate of another host. */
  misnamed: string;
  /** Like `byPassword`, showing a certificate that is over. */
  expired: string;
}

export async function openDemandingKafka(
  stack: AsyncDisposableStack,
  authority: Authority,
): Promise<DemandingKafka> {
  const settingsOf = ({ certFile, keyFile }: Certificate) => {
    const keystore = `${certFile}.keystore`;
    writeFileSync(keystore, readFileSync(keyFile, "utf8") + readFileSync(certFile, "utf8"));
    return {
      ...{ "ssl.keystore.type": "PEM", "ssl.keystore.location": keystore },
      ...{ "ssl.truststore.type": "PEM", "ssl.truststore.location": authority.caFile },
    };
  };
  const byPassword = {
    "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
    "plain.sasl.jaas.config": `${LOGIN}.plain.PlainLoginModule required user_${USER}="${PASSWORD}";`,
    "scram-sha-256.sasl.jaas.config": `${LOGIN}.scram.ScramLoginModule required;`,
    "scram-sha-512.sasl.jaas.config": `${LOGIN}.scram.ScramLoginModule required;`,
  };
  const listener = async (
    name: string,
    certificate: Certificate,
    further: Record<string, string> = byPassword,
  ): Promise<SecureListener> => ({
    ...{ name, port: await freePort(), protocol: further === byPassword ? "SASL_SSL" : "SSL" },
    settings: { ...settingsOf(certificate), ...further },
  });
  const listeners = {
    byPassword: await listener("PASSWORD", authority.issue()),
    byCertificate: await listener("CERTIFICATE", authority.issue(), { "ssl.client.auth": "required" }),
    misnamed: await listener("MISNAMED", authority.issue({ names: "DNS:other.example" })),
    expired: await listener("EXPIRED", authority.issue({ expired: true })),
  };
  const broker = await startKafka(undefined, undefined, {
    listeners: Object.values(listeners),
    scramUsers: ["SCRAM-SHA-256", "SCRAM-SHA-512"].map(
      (mechanism) => `${mechanism}=[name=${USER},password=${PASSWORD}]`,
    ),
  });
  stack.defer(broker.stop);
  const addressOf = ({ port }: SecureListener) => `127.0.0.1:${port}`;
  return {
    broker,
    byPassword: addressOf(listeners.byPassword),
    byCertificate: addressOf(listeners.byCertificate),
    misnamed: addressOf(listeners.misnamed),
    expired: addressOf(listeners.expired),
  };
}
