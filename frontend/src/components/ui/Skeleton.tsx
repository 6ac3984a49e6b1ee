// Grey shapes in place of what is being loaded; only after 150 ms, so that a fast load never flickers.
import clsx from "clsx";
import { useEffect, useState, type ReactNode } from "react";
import { t } from "../../i18n/text";

const PATIENCE_MS = 150;

function Late({ children }: { children: ReactNode }) {
  const [late, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, []);
  return late ? children : null;
}

const bar = "animate-pulse-soft rounded-full bg-line";

export function ListSkeleton({ rows = 8 }: { rows?: number }) {
  return (
    <Late>
      <div role="status" className="px-2 py-1">
        <span className="sr-only">{t("list.loading")}</span>
        {Array.from({ length: rows }, (_, row) => (
          <div key={row} aria-hidden className="flex h-[68px] items-center gap-3 px-3">
            <div className={clsx(bar, "size-11")} />
            <div className="flex-1 space-y-2.5">
              <div className={clsx(bar, "h-3", row % 2 === 0 ? "w-2/5" : "w-1/2")} />
              <div className={clsx(bar, "h-2.5", row % 3 === 0 ? "w-4/5" : "w-3/5")} />
            </div>
          </div>
        ))}
      </div>
    </Late>
  );
}

const BUBBLES = ["w-56", "w-72", "w-40 ms-auto", "w-64", "w-52 ms-auto", "w-36"];

export function MessagesSkeleton() {
  return (
    <Late>
      <div role="status" className="mx-auto mt-auto w-full max-w-[760px] space-y-3 px-4 py-4">
        <span className="sr-only">{t("messages.loading")}</span>
        {BUBBLES.map((width, row) => (
          <div key={row} aria-hidden className={clsx("h-9 animate-pulse-soft rounded-bubble bg-peer", width)} />
        ))}
      </div>
    </Late>
  );
}
