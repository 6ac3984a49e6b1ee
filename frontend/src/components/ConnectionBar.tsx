// How the connection stands, whenever it is not simply fine. A bar, never a modal: reading and writing
// go on. Not a live region either: the countdown would be read out every second; Chat announces losses.
import clsx from "clsx";
import { CircleCheck, CloudOff, LoaderCircle, RefreshCw, TriangleAlert, WifiOff, type LucideIcon } from "lucide-react";
import type { ReactNode } from "react";
import * as format from "../format";
import { rich, t } from "../i18n/text";
import type { ConnectionView } from "../model/types";
import { useNow } from "./useNow";

interface ConnectionBarProps {
  connection: ConnectionView;
  onRetry: () => void;
  onReload: () => void;
}

/** Shorter losses happen all the time and are nobody's business. */
const CONNECTING_PATIENCE_MS = 2000;

const TONES = {
  plain: "bg-sidebar text-muted",
  warn: "bg-warn text-on-warn",
  fault: "bg-fault text-on-fault",
  good: "bg-good text-on-good",
};

interface BarProps {
  tone: keyof typeof TONES;
  icon: LucideIcon;
  spin?: boolean;
  waiting?: number;
  action?: { label: string; run: () => void };
  children: ReactNode;
}

function Bar({ tone, icon: Icon, spin = false, waiting = 0, action, children }: BarProps) {
  return (
    <div
      role="group"
      aria-label={t("connection.label")}
      className={clsx("flex min-h-9 shrink-0 items-center justify-center gap-x-3 px-4 py-1 text-[0.8125rem] leading-[1.125rem]", TONES[tone])}
    >
      <p className="flex min-w-0 items-center gap-2">
        <Icon aria-hidden size={16} className={clsx("shrink-0", spin && "animate-spin")} />
        <span>
          {children}
          {waiting > 0 && <strong className="ms-2 font-semibold whitespace-nowrap">{t("connection.waiting", { count: waiting })}</strong>}
        </span>
      </p>
      {action !== undefined && (
        <button type="button" onClick={action.run} className="min-h-7 shrink-0 rounded-md px-1.5 font-semibold underline underline-offset-2 pointer-coarse:min-h-11">
          {action.label}
        </button>
      )}
    </div>
  );
}

function Countdown({ retryAt }: { retryAt: number }) {
  const seconds = format.secondsUntil(retryAt, useNow(500));
  return seconds === 0 ? t("connection.retryingNow") : rich("connection.retryingIn", { seconds: <span className="tabular-nums">{format.number(seconds)}</span> });
}

function Connecting({ since }: { since: number }) {
  if (useNow(500) - since < CONNECTING_PATIENCE_MS) return null;
  return <Bar tone="plain" icon={LoaderCircle} spin>{t("connection.connecting")}</Bar>;
}

export function ConnectionBar({ connection, onRetry, onReload }: ConnectionBarProps) {
  switch (connection.at) {
    case "connecting":
      return <Connecting since={connection.since} />;
    case "online":
      return connection.justBack ? <Bar tone="good" icon={CircleCheck}>{t("connection.back")}</Bar> : null;
    case "offline":
      return (
        <Bar tone="warn" icon={WifiOff} waiting={connection.waitingSends}>
          {t("connection.offline")}
        </Bar>
      );
    case "unreachable":
      return (
        <Bar tone="warn" icon={CloudOff} waiting={connection.waitingSends} action={{ label: t("connection.retryNow"), run: onRetry }}>
          {rich("connection.unreachable", { retry: <Countdown retryAt={connection.retryAt} /> })}
        </Bar>
      );
    case "stopped":
      switch (connection.reason) {
        case "update-needed":
          return <Bar tone="fault" icon={RefreshCw} action={{ label: t("common.reload"), run: onReload }}>{t("connection.update")}</Bar>;
        case "signed-out":
          return <Bar tone="fault" icon={TriangleAlert} action={{ label: t("common.reload"), run: onReload }}>{t("connection.signedOut")}</Bar>;
        case "defect":
          return (
            <Bar tone="fault" icon={TriangleAlert} action={{ label: t("common.reload"), run: onReload }}>
              {connection.detail === "" ? t("connection.ended") : t("connection.endedBecause", { detail: connection.detail })}
            </Bar>
          );
      }
  }
}

/** What a screen reader is told when the connection changes; null: nothing worth an interruption. */
export function spokenConnection(connection: ConnectionView): { assertive: boolean; text: string } | null {
  switch (connection.at) {
    case "offline":
      return { assertive: true, text: t("connection.offline") };
    case "unreachable":
      return { assertive: true, text: t("connection.lostSpoken") };
    case "stopped":
      return { assertive: true, text: connection.reason === "update-needed" ? t("connection.updateSpoken") : t("connection.ended") };
    case "online":
      return connection.justBack ? { assertive: false, text: t("connection.back") } : null;
    case "connecting":
      return null;
  }
}
