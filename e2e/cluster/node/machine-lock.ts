import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

/**
 * Runs work while no other process of this machine runs work under the same name. The lock is a listening socket
 * in the abstract namespace (unix(7)): the kernel takes it back when its holder ends, however that happens.
 */
export async function withMachineLock<T>(name: string, work: () => Promise<T>): Promise<T> {
  const path = `\0ctrlmesh/${name}`;
  for (;;) {
    const held = await take(path);
    if (held === undefined) await untilReleased(path);
    else
      try {
        return await work();
      } finally {
        await held.release();
      }
  }
}

interface Held {
  release(): Promise<void>;
}

async function take(path: string): Promise<Held | undefined> {
  const waiting = new Set<Socket>();
  const server = createServer((socket) => {
    waiting.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => waiting.delete(socket));
  });
  if (!(await listens(server, path))) return undefined;
  return {
    release: async () => {
      const closed = once(server, "close");
      server.close();
      for (const socket of waiting) socket.destroy();
      await closed;
    },
  };
}

async function listens(server: Server, path: string): Promise<boolean> {
  server.listen({ path });
  try {
    await once(server, "listening");
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EADDRINUSE") return false;
    throw error;
  }
}

/** The holder never answers; its end, or that nobody listens any more, is the answer. */
async function untilReleased(path: string): Promise<void> {
  const socket = connect({ path });
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.on("error", () => undefined);
  socket.resume();
  await closed;
}
