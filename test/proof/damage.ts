import type { Sale } from "../postgres/sale.ts";

/** A seat's rows as they are now, to be put back after a test has damaged them. */
export async function keep(sale: Sale, seatId: number): Promise<{ mend(): Promise<void> }> {
  const [kept] = await sale.rows<{ seats: string; rows: string; reservations: string }>(
    `select (select json_agg(s) from seats s where id = $1)::text as seats,
            (select json_agg(e) from seat_events e where seat_id = $1)::text as rows,
            (select json_agg(r) from reservations r where $1 = any(seat_ids))::text as reservations`,
    [seatId],
  );
  return {
    mend: async () => {
      await sale.rows("delete from seats where id = $1", [seatId]);
      await sale.rows("delete from seat_events where seat_id = $1", [seatId]);
      await sale.rows("delete from reservations where $1 = any(seat_ids)", [seatId]);
      await sale.rows("insert into seats select * from json_populate_recordset(null::seats, $1)", [
        kept?.seats,
      ]);
      await sale.rows(
        "insert into seat_events overriding system value select * from json_populate_recordset(null::seat_events, $1)",
        [kept?.rows],
      );
      await sale.rows(
        "insert into reservations select * from json_populate_recordset(null::reservations, $1)",
        [kept?.reservations],
      );
    },
  };
}
