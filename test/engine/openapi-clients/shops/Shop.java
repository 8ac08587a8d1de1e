import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.UUID;
import java.util.stream.Collectors;
import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiException;
import org.openapitools.client.api.ReservationsApi;
import org.openapitools.client.model.Hold;
import org.openapitools.client.model.HoldOfSeats;
import org.openapitools.client.model.HoldRequest;
import org.openapitools.client.model.HoldSeats409Response;
import org.openapitools.client.model.Reservation;
import org.openapitools.client.model.ReservedSeat;
import org.openapitools.client.model.SeatsTakenProblem;

/** Holds the seats and confirms the hold, with the client that openapi-generator generates; prints the sale. */
public final class Shop {
  public static void main(String[] args) throws Exception {
    ApiClient client = new ApiClient();
    client.updateBaseUri(args[0]);
    LinkedHashSet<Long> seatIds =
        Arrays.stream(args).skip(1).map(Long::valueOf).collect(Collectors.toCollection(LinkedHashSet::new));
    System.out.println(client.getObjectMapper().writeValueAsString(buy(client, seatIds)));
  }

  private static Map<String, Object> buy(ApiClient client, LinkedHashSet<Long> seatIds) throws Exception {
    ReservationsApi api = new ReservationsApi(client);
    Hold hold;
    try {
      HoldRequest request = new HoldRequest(new HoldOfSeats().seatIds(seatIds));
      hold = api.holdSeats(request, UUID.randomUUID().toString(), null);
    } catch (ApiException refused) {
      HoldSeats409Response problem =
          client.getObjectMapper().readValue(refused.getResponseBody(), HoldSeats409Response.class);
      SeatsTakenProblem taken = problem.getSeatsTakenProblem();
      return Map.of(
          "sold", false,
          "why", taken.getSeats().stream().map(seat -> seat.getSeatId() + " is " + seat.getReason()).toList(),
          "alternatives", taken.getAlternatives());
    }
    Reservation confirmed = api.confirmReservation(hold.getReservationId(), hold.getToken(), null, null);
    return Map.of(
        "sold", confirmed.getStatus() == Reservation.StatusEnum.CONFIRMED,
        "seatIds", confirmed.getSeats().stream().map(ReservedSeat::getSeatId).toList(),
        "total", confirmed.getTotal());
  }
}
