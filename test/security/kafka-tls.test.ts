import { beforeAll, describe, expect, test } from "bun:test";
import { readConfig } from "../../src/config/config.ts";
import { kafkaSecurityOf } from "../../src/config/credential-relations.ts";
import { openKafkaSink } from "../../src/ledger/sinks/kafka-sink.ts";
import { toEvent } from "../../src/ledger/sinks/sink.ts";
import { messageOf } from "../../src/telemetry/log.ts";
import { type Authority, type Certificate, findOpenssl, openAuthority } from "../fixtures/certificates.ts";
import { findKafka, readTopic } from "../fixtures/kafka.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import { useStack } from "../fixtures/stack.ts";
import { type DemandingKafka, openDemandingKafka, PASSWORD, USER } from "./demanding-kafka.ts";

const kafkaFound = await partOrSkip("kafka", findKafka);
const openssl = await partOrSkip("openssl", findOpenssl);

describe.skipIf(!kafkaFound || !openssl)("a Kafka that demands TLS and a user or a certificate", () => {
  const stack = useStack();
  let authority: Authority;
  let stranger: Authority;
  let client: Certificate;
  let kafka: DemandingKafka;
  let sent = 0;

  beforeAll(async () => {
    authority = await openAuthority(stack);
    stranger = await openAuthority(stack);
    client = authority.issue({ user: USER });
    kafka = await openDemandingKafka(stack, authority);
  });

  const sasl = (mechanism = "SCRAM-SHA-512", password = PASSWORD) => ({
    ...{ KAFKA_SECURITY_PROTOCOL: "SASL_SSL", KAFKA_SSL_CA_FILE: authority.caFile },
    ...{ KAFKA_SASL_MECHANISM: mechanism, KAFKA_SASL_USERNAME: USER, KAFKA_SASL_PASSWORD: password },
  });
  const mutual = ({ certFile, keyFile }: Certificate) => ({
    ...{ KAFKA_SECURITY_PROTOCOL: "SSL", KAFKA_SSL_CA_FILE: authority.caFile },
    ...{ KAFKA_SSL_CERT_FILE: certFile, KAFKA_SSL_KEY_FILE: keyFile },
  });
  /** Sends one event as the publisher would; "sent", or why not. */
  async function send(brokers: string, env: Record<string, string>): Promise<string> {
    const security = kafkaSecurityOf(readConfig({ KAFKA_BROKERS: brokers, ...env }));
    try {
      const sink = await openKafkaSink([brokers], security);
      try {
        await sink.publish([
          toEvent({
            ...{
              id: "1",
              epoch: 1,
              txid: "1",
              seatId: "1",
              version: ++sent,
              eventId: "1",
              status: "RESERVED",
            },
            ...{ reservationId: crypto.randomUUID(), replacesReservationId: null, timestampMs: 1 },
          }),
        ]);
      } finally {
        await sink.close();
      }
      return "sent";
    } catch (error) {
      return messageOf(error);
    }
  }

  test.each(["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])(
    "takes events from a user by %s",
    async (mechanism) => {
      expect(await send(kafka.byPassword, sasl(mechanism))).toBe("sent");
      const { broker } = kafka;
      const read = await readTopic(broker.brokers, "booking-events", { atLeast: sent, deadlineMs: 10_000 });
      expect(read.map(({ headers }) => headers["ce_id"])).toContain(`1:${sent}`);
    },
  );

  test("accepts events from a client with a certificate, and from none without one or with a stranger's", async () => {
    expect(await send(kafka.byCertificate, mutual(client))).toBe("sent");
    expect(await send(kafka.byCertificate, mutual(stranger.issue()))).not.toBe("sent");
    const { KAFKA_SSL_CA_FILE, KAFKA_SECURITY_PROTOCOL } = mutual(client);
    expect(await send(kafka.byCertificate, { KAFKA_SSL_CA_FILE, KAFKA_SECURITY_PROTOCOL })).not.toBe("sent");
  });

  test.each(["PLAIN", "SCRAM-SHA-256"])(
    "refuses a wrong password by %s, and the fault does not hold it",
    async (mechanism) => {
      const fault = await send(kafka.byPassword, sasl(mechanism, "wr0ng"));
      expect(fault).toMatch(/authentication failed/i);
      expect(fault).not.toContain("wr0ng");
    },
  );

  test("is refused by a client that trusts another authority or none, or sees a wrong name or an expired certificate", async () => {
    const right = sasl();
    expect(await send(kafka.byPassword, { ...right, KAFKA_SSL_CA_FILE: stranger.caFile })).toMatch(
      /certificate/,
    );
    expect(await send(kafka.byPassword, { ...right, KAFKA_SSL_CA_FILE: "" })).toMatch(/certificate/);
    expect(await send(kafka.misnamed, right)).toMatch(/does not match certificate/);
    expect(await send(kafka.expired, right)).toMatch(/certificate has expired/);
  });

  test("is not sent to in plain text, neither where TLS is demanded nor where it was asked for", async () => {
    expect(await send(kafka.byPassword, {})).not.toBe("sent");
    expect(await send(kafka.broker.brokers, sasl())).not.toBe("sent");
  });
});
