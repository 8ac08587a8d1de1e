/**
 * Wraps the work of a thread so that its tasks and results cross the thread boundary as JSON text. That costs less than
 * cloning records (docs/decisions/0017-orders-as-text.md).
 */
export const textTask =
  <Task, Result>(run: (task: Task) => Promise<Result>) =>
  async (text: string): Promise<string | undefined> =>
    JSON.stringify(await run(JSON.parse(text)));

/** Returns the task as the thread reads it. */
export const taskText = (task: unknown): string => JSON.stringify(task);

/** Returns the result as the thread wrote it; undefined if there was none. */
export const resultOf = <Result>(text: string | undefined): Result =>
  text === undefined ? (undefined as Result) : JSON.parse(text);
