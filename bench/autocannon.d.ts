/** What autocannon-load.ts uses of autocannon 9; the published types are of version 7. */
declare module "autocannon" {
  interface Options {
    url: string;
    connections: number;
    /** Seconds. */
    duration: number;
    /** Seconds. */
    timeout: number;
    requests: { method: "POST"; setupRequest(request: object): object }[];
  }
  interface Result {
    /** Seconds. */
    duration: number;
    "2xx": number;
    non2xx: number;
    errors: number;
    /** Milliseconds. */
    latency: { p50: number; p99: number };
  }
  interface Instance {
    on(event: "response", listener: (client: unknown, status: number) => void): void;
  }
  export default function autocannon(
    options: Options,
    done: (error: Error | null, result: Result) => void,
  ): Instance;
}
