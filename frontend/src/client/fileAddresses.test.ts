import { expect, it, vi } from "vitest";
import type { FileInfo } from "../model/types";
import { FileAddresses } from "./fileAddresses";

const MINUTE = 60_000;

function world() {
  let now = 0;
  const due: (() => void)[] = [];
  const info = (id: string): FileInfo => ({ id, name: id, type: "image/png", size: 1, width: 1, height: 1, thumbnail: true });
  const files = vi.fn((ids: readonly string[]) => Promise.resolve({
    ok: true as const,
    value: ids.filter((id) => id !== "gone").map((id) => ({
      file: info(id),
      address: { content: `files/${id}/content?n=${now}`, thumbnail: `files/${id}/thumbnail`, expiresAt: now + 5 * MINUTE },
    })),
  }));
  const after = (_ms: number, callback: () => void) => { due.push(callback); return () => {}; };
  const addresses = new FileAddresses({ files, resolve: (address) => `/chat/${address}` }, after, () => now);
  return { addresses, files, gather: () => due.splice(0).forEach((each) => each()), turn: (ms: number) => { now += ms; } };
}

it("addresses are asked for together, and given from below the mount", async () => {
  const { addresses, files, gather } = world();
  const asked = [addresses.of("one"), addresses.of("two"), addresses.of("one"), addresses.of("gone")];
  gather();
  const [one, two, again, gone] = await Promise.all(asked);
  expect(files).toHaveBeenCalledExactlyOnceWith(["one", "two", "gone"]);
  expect(one).toEqual({ content: "/chat/files/one/content?n=0", thumbnail: "/chat/files/one/thumbnail", expiresAt: 5 * MINUTE });
  expect([again, two?.content, gone]).toEqual([one, "/chat/files/two/content?n=0", null]);
});

it("an address is kept until shortly before its end", async () => {
  const { addresses, files, gather, turn } = world();
  const first = addresses.of("one");
  gather();
  await first;
  turn(3 * MINUTE);
  expect(await addresses.of("one")).toEqual(await first);
  turn(MINUTE);
  const second = addresses.of("one");
  gather();
  expect((await second)?.content).toBe(`/chat/files/one/content?n=${4 * MINUTE}`);
  expect(files).toHaveBeenCalledTimes(2);
});
