// Where a file is to be had, while it is on screen: asked for anew before the address ends.
import { useEffect, useState } from "react";
import type { FileAddress } from "../model/types";
import { useChat } from "./ChatProvider";

/** An address that ends sooner than this is not given out (client/fileAddresses.ts). */
const SPARE_MS = 60_000;
const AGAIN_MS = 15_000;

export function useFileAddress(id: string): FileAddress | null {
  const chat = useChat();
  const [address, setAddress] = useState<FileAddress | null>(null);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let gone = false;
    const ask = () => {
      void chat.fileAddress(id).then((found) => {
        if (gone) return;
        if (found !== null) setAddress(found);
        // Half a minute behind its last use: then another one is given.
        const again = found === null ? AGAIN_MS : Math.max(AGAIN_MS, found.expiresAt - Date.now() - SPARE_MS / 2);
        timer = setTimeout(ask, again);
      });
    };
    ask();
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [chat, id]);
  return address;
}
