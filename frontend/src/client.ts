// Makes the one object that the screen is given.
import { Api } from "./api";
import { browserEnvironment } from "./client/browser";
import { Chat } from "./client/chat";
import type { Environment } from "./client/environment";
import type { ChatClient } from "./model/types";

/** In a browser without options; what is given replaces that part of the surroundings. */
export function createClient(options: Partial<Environment> = {}): ChatClient {
  const env: Environment = { ...browserEnvironment(), ...options };
  return clientIn(env);
}

/** In surroundings that are given in full: works without a browser. */
export function clientIn(env: Environment): ChatClient {
  return new Chat(
    env,
    (token, unauthenticated) =>
      new Api({ base: env.base, fetch: env.fetch, after: env.socket.after, token, unauthenticated }),
  );
}
