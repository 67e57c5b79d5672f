// The server of config/node.toml: node's own, on the socket whose number is the first argument.
const http = require("http");
const body = `hello generation=${process.env.BOOTSTRAP_GENERATION} pid=${process.pid}\n`;
const server = http.createServer((request, response) => {
  response.setHeader("Content-Length", body.length);
  response.end(body);
});
server.listen({ fd: Number(process.argv[2]) });
// Accepts no more, answers what is in flight, ends with the last connection.
process.on("SIGTERM", () => server.close());
