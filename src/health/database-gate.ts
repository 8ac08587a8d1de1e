const PROBE_UP_INTERVAL_MS = 1000;
const PROBE_DOWN_INTERVAL_MS = 250;

/**
 * Whether the database can be asked. Down: requests are refused at once instead of each waiting for a
 * connection to fail. It opens only when a probe has passed, and closes when a probe fails or somebody
 * who met trouble asks for one that fails.
 */
export class DatabaseGate {
  private up = true;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private probing = false;
  private closed = false;

  /** @param probe rejects when the database does not answer in time. */
  constructor(
    private readonly probe: () => Promise<unknown>,
    private readonly onChange: (up: boolean) => void,
  ) {
    this.plan();
  }

  get isUp(): boolean {
    return this.up;
  }

  /** Somebody met trouble: look now. */
  suspect(): void {
    void this.look();
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
  }

  private plan(): void {
    clearTimeout(this.timer);
    if (this.closed) return;
    this.timer = setTimeout(() => void this.look(), this.up ? PROBE_UP_INTERVAL_MS : PROBE_DOWN_INTERVAL_MS);
  }

  private async look(): Promise<void> {
    if (this.probing || this.closed) return;
    this.probing = true;
    const up = await this.probe().then(
      () => true,
      () => false,
    );
    this.probing = false;
    if (up !== this.up && !this.closed) {
      this.up = up;
      this.onChange(up);
    }
    this.plan();
  }
}
