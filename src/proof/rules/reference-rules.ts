import { sql } from "drizzle-orm";
import type { RowRules } from "./rule.ts";

/** The rules that foreign keys would enforce. Those would make every sale wait for a change of an event. */
export const referenceRules: readonly RowRules[] = [
  {
    rows: sql`seats s left join events e on e.id = s.event_id left join sections c on c.id = s.section_id`,
    seatId: sql`s.id`,
    rules: [
      {
        finding: "the seat's event is not there",
        statement: "Every seat belongs to an event.",
        isBroken: sql`e.id is null`,
        detail: sql`'event ' || s.event_id`,
      },
      {
        finding: "the seat's section is not there",
        statement: "The section that a seat names exists.",
        isBroken: sql`s.section_id is not null and c.id is null`,
        detail: sql`'section ' || s.section_id`,
      },
      {
        finding: "the seat is not in its section",
        statement: "A seat's id lies in the range of its section, which is of the same event.",
        isBroken: sql`c.event_id <> s.event_id or s.id < c.first_seat_id or s.id >= c.first_seat_id + c.seat_count`,
        detail: sql`'section ' || s.section_id`,
      },
    ],
  },
  {
    rows: sql`sections c left join events e on e.id = c.event_id
        left join (select section_id, count(*) as seats from seats where section_id is not null group by section_id) s on s.section_id = c.id`,
    rules: [
      {
        finding: "the section's event is not there",
        statement: "Every section belongs to an event.",
        isBroken: sql`e.id is null`,
        detail: sql`'section ' || c.id`,
      },
      {
        finding: "the section has not all its seats",
        statement: "A section has as many seats as it says.",
        isBroken: sql`coalesce(s.seats, 0) <> c.seat_count`,
        detail: sql`format('section %s has %s of %s', c.id, coalesce(s.seats, 0), c.seat_count)`,
      },
    ],
  },
  {
    rows: sql`reservations r left join events e on e.id = r.event_id`,
    reservationId: sql`r.id`,
    rules: [
      {
        finding: "the reservation's event is not there",
        statement: "Every reservation that is not void belongs to an event.",
        isBroken: sql`r.status <> 'void' and e.id is null`,
        detail: sql`'event ' || coalesce(r.event_id::text, 'unnamed')`,
      },
      {
        finding: "a reservation names a caller that cannot be one",
        statement: "A reservation's caller is an API key or the salted hash of a network.",
        isBroken: sql`r.caller !~ '^(key:[0-9a-f-]{36}|net:[A-Za-z0-9_-]{22})$'`,
        detail: sql`r.caller`,
      },
    ],
  },
  {
    rows: sql`reservations r cross join lateral unnest(r.seat_ids) as own(seat_id) left join seats s on s.id = own.seat_id`,
    reservationId: sql`r.id`,
    seatId: sql`own.seat_id`,
    rules: [
      {
        finding: "the reservation's seat is not there, or of another event",
        statement: "The seats that a reservation lists exist and are of its event.",
        isBroken: sql`(s.event_id = r.event_id) is not true`,
      },
    ],
  },
  {
    rows: sql`idempotency_keys k left join reservations r on r.id = k.reservation_id`,
    reservationId: sql`k.reservation_id`,
    rules: [
      {
        finding: "the reservation of an idempotency key is not there",
        statement: "The reservation that an idempotency key stands for exists.",
        isBroken: sql`k.reservation_id is not null and r.id is null`,
      },
    ],
  },
  {
    rows: sql`seat_events l left join admin_log a on a.id = l.act_id`,
    seatId: sql`l.seat_id`,
    version: sql`l.version`,
    reservationId: sql`l.reservation_id`,
    rules: [
      {
        finding: "the act that a ledger row names is not there, or did something else",
        statement:
          "A ledger row names an act of an administrator only if that act released holds and the row is a release.",
        isBroken: sql`l.act_id is not null and (a.kind = 'holds.released' and l.status = 'RELEASED') is not true`,
        detail: sql`format('act %s', l.act_id)`,
      },
    ],
  },
  {
    rows: sql`denials d left join admin_log a on a.id = d.act_id`,
    rules: [
      {
        finding: "the act that denied a caller is not there, or did something else",
        statement: "Each denied caller was denied by an act of an administrator.",
        isBroken: sql`(a.kind = 'caller.denied') is not true`,
        detail: sql`format('act %s', d.act_id)`,
      },
    ],
  },
  {
    rows: sql`admin_log`,
    rules: [
      {
        finding: "an act without the reason that it needs",
        statement: "An act that releases holds or denies a caller gives a reason.",
        isBroken: sql`kind in ('holds.released', 'caller.denied') and reason is null`,
        detail: sql`format('act %s', id)`,
      },
    ],
  },
];
