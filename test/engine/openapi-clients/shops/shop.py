"""Holds the seats and confirms the hold, with the client that openapi-python-client generates; prints the sale."""

import json
import sys
from uuid import uuid4

from sentinel.api.reservations import confirm_reservation, hold_seats
from sentinel.client import Client
from sentinel.models import Hold, HoldOfSeats, Reservation, SeatsTakenProblem


def buy(base_url: str, seat_ids: list[int]) -> dict[str, object]:
    client = Client(base_url=base_url)
    hold = hold_seats.sync(client=client, body=HoldOfSeats(seat_ids=seat_ids), idempotency_key=str(uuid4()))
    if isinstance(hold, SeatsTakenProblem):
        why = [f"{seat.seat_id} is {seat.reason.value}" for seat in hold.seats]
        return {"sold": False, "why": why, "alternatives": hold.alternatives}
    if not isinstance(hold, Hold):
        return {"sold": False, "why": [repr(hold)]}
    confirmation = confirm_reservation.sync(
        hold.reservation_id, client=client, x_reservation_token=hold.token
    )
    if not isinstance(confirmation, Reservation):
        return {"sold": False, "why": [repr(confirmation)]}
    return {
        "sold": confirmation.status.value == "CONFIRMED",
        "seatIds": [seat.seat_id for seat in confirmation.seats],
        "total": confirmation.total.to_dict(),
    }


print(json.dumps(buy(sys.argv[1], [int(text) for text in sys.argv[2:]])))
