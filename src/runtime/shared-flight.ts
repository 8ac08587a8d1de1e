/** Shares one call among all who ask for it at the same time. */
export class SharedFlight<Result = void, Args extends unknown[] = []> {
  private current: Promise<Result> | undefined;
  private following: Promise<Result> | undefined;
  private begunAt = Number.NEGATIVE_INFINITY;

  /** @param spacingMs the least time between the starts of two calls, if only `next` is used. */
  constructor(
    private readonly call: (...args: Args) => Promise<Result>,
    private readonly spacingMs = 0,
  ) {}

  /** Joins the call under way. Without one, a call begins with these arguments. */
  join(...args: Args): Promise<Result> {
    return this.current ?? this.following ?? this.begin(args);
  }

  /**
   * Joins the next call to begin, so the result is true after this moment. It begins when the call under way has
   * ended, with the arguments of the first who asked for it.
   */
  next(...args: Args): Promise<Result> {
    if (this.following) return this.following;
    const waitMs = this.begunAt + this.spacingMs - performance.now();
    if (!this.current && waitMs <= 0) return this.begin(args);
    this.following = this.turn().then(() => {
      this.following = undefined;
      return this.begin(args);
    });
    return this.following;
  }

  private async turn(): Promise<void> {
    await this.current?.catch(() => undefined);
    const waitMs = this.begunAt + this.spacingMs - performance.now();
    if (waitMs > 0) await Bun.sleep(waitMs);
  }

  private begin(args: Args): Promise<Result> {
    this.begunAt = performance.now();
    this.current = this.call(...args).finally(() => {
      this.current = undefined;
    });
    return this.current;
  }
}
