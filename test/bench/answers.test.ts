import { describe, expect, test } from "bun:test";
import { AnswerSplitter } from "../../bench/generator/answers.ts";

const head = (status: string, length: number) =>
  `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\nDate: now\r\n\r\n`;
const WON = `${head("201 Created", 12)}{"seat":"é"`;
const TAKEN = `${head("409 Conflict", 2)}{}`;
const RELEASED = "HTTP/1.1 204 No Content\r\nDate: now\r\n\r\n";
const ALL = [
  [201, '{"seat":"é"'],
  [409, "{}"],
  [204, ""],
  [201, '{"seat":"é"'],
];

function split(packets: Buffer[]) {
  const answers: [number, string][] = [];
  const splitter = new AnswerSplitter((status, body) => answers.push([status, body.toString()]));
  for (const packet of packets) {
    splitter.push(packet);
    // As a socket does that reads into the same memory again.
    packet.fill(0);
  }
  return answers;
}

describe("answers are found", () => {
  const bytes = () => Buffer.from(WON + TAKEN + RELEASED + WON);

  test("when several come in one packet", () => {
    expect(split([bytes()])).toEqual(ALL as [number, string][]);
  });

  test("wherever the bytes are cut into two packets", () => {
    const { length } = bytes();
    for (let cut = 1; cut < length; cut++) {
      const whole = bytes();
      expect(split([Buffer.from(whole.subarray(0, cut)), Buffer.from(whole.subarray(cut))])).toEqual(
        ALL as [number, string][],
      );
    }
  });

  test("when every byte is a packet", () => {
    expect(split([...bytes()].map((byte) => Buffer.from([byte])))).toEqual(ALL as [number, string][]);
  });

  test("whatever the case of the header's name", () => {
    expect(split([Buffer.from("HTTP/1.1 200 OK\r\ncontent-length:1\r\n\r\na")])).toEqual([[200, "a"]]);
  });

  test("not in what is no HTTP/1.1, or tells no length", () => {
    expect(() => split([Buffer.from("SSH-2.0-x\r\n\r\n")])).toThrow("no HTTP/1.1 answer");
    expect(() => split([Buffer.from("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")])).toThrow(
      "without Content-Length",
    );
  });
});
