// A small web service in Node.js. It reads its settings at start, as such services do: without them it does not start.
const http = require('http');

const config = require('./config/production.json');

const server = http.createServer((request, response) => {
  response.setHeader('X-Version', process.env.VERSION || config.version);
  response.end(`${config.greeting}\n`);
});

server.listen(Number(process.env.PORT || 8080), () => console.log(`listening on ${server.address().port}`));

process.on('SIGTERM', () => server.close(() => process.exit(0)));
