// Road A: fal's names lead to this machine, and port 443 is ours.
// node --import ./names.mjs with LIMNER_PORT. Stands in for /etc/hosts and for listening on 443, which
// only root may do. Above it all is real: the client's own URLs, TLS and certificate checks.
import { Socket } from "node:net";

const fal = /(^|\.)fal\.(run|ai|media)$/;
const connect = Socket.prototype.connect;

Socket.prototype.connect = function (...args) {
  const options = Array.isArray(args[0]) ? args[0][0] : args[0];
  if (options !== null && typeof options === "object" && fal.test(options.host ?? "") && Number(options.port) === 443) {
    Object.assign(options, { host: "127.0.0.1", port: Number(process.env.LIMNER_PORT) });
  }
  return connect.apply(this, args);
};
