import { problem } from "../http/problem.ts";

export const eventNotFound = (eventId: number) => problem("event-not-found", `There is no event ${eventId}.`);
