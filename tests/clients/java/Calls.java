// Java's own client with its defaults: it asks for h2c with the first request of each connection.
//
//   java Calls.java URL

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

class Calls {
    public static void main(String[] arguments) throws Exception {
        for (int number = 0; number < 5; number++) {
            // A client of its own for all but the last two, so that connections are fresh.
            HttpClient client = number < 3 ? HttpClient.newHttpClient() : Shared.CLIENT;
            String body =
                "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"sandboxEcho\",\"params\":[" + number + "]}";
            HttpRequest request =
                HttpRequest.newBuilder(URI.create(arguments[0]))
                    .header("content-type", "application/json")
                    .POST(HttpRequest.BodyPublishers.ofString(body))
                    .build();
            HttpResponse<String> response =
                client.send(request, HttpResponse.BodyHandlers.ofString());
            System.out.println(
                response.version() + " " + response.statusCode() + " " + response.body().strip());
        }
    }

    private static class Shared {
        static final HttpClient CLIENT = HttpClient.newHttpClient();
    }
}
