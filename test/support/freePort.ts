import { createServer, type AddressInfo } from "node:net";

/** A TCP port of a loopback address that nobody has at this moment. */
export async function freePort(address: "127.0.0.1" | "::1"): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
