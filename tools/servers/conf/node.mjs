// Receives with Node's own http, at its defaults: a connection that was idle for five seconds is closed.
// Usage: node node.mjs FILE-OF-ARRIVALS PORT ADDRESS..
import fs from "node:fs";
import http from "node:http";

const [arrivals, port, ...addresses] = process.argv.slice(2);
const file = fs.openSync(arrivals, "a");

function receive(request, response) {
  request.resume();
  request.on("end", () => {
    const { url, headers, httpVersion } = request;
    fs.writeSync(file, `${url} ${headers["webhook-id"]} HTTP/${httpVersion} ${process.pid}\n`);
    response.writeHead(204).end();
  });
}

for (const address of addresses) http.createServer(receive).listen(Number(port), address);
