// The notifications of the browser: whether they may be shown, and showing one. Knows nothing of messages.

export type NotificationPermissionState = "granted" | "denied" | "default" | "unsupported";

export interface Shown {
  /** A later one of the same tag takes its place. */
  tag: string;
  title: string;
  body: string;
  onClick: () => void;
}

export function permission(): NotificationPermissionState {
  return typeof Notification === "undefined" ? "unsupported" : Notification.permission;
}

/** Only after a click: a browser remembers a refusal for good. */
export async function allowNotifications(): Promise<NotificationPermissionState> {
  if (permission() === "unsupported") return "unsupported";
  return Notification.requestPermission();
}

const open = new Map<string, Notification>();

/** False where the browser has them for service workers only, or has been told no. */
export function showNotification({ tag, title, body, onClick }: Shown): boolean {
  if (permission() !== "granted") return false;
  try {
    const { lang, dir } = document.documentElement;
    const shown = new Notification(title, { body, tag, icon: "/icon.svg", lang, dir: dir === "rtl" ? "rtl" : "ltr" });
    open.get(tag)?.close();
    open.set(tag, shown);
    shown.onclick = () => {
      window.focus();
      shown.close();
      onClick();
    };
    shown.onclose = () => { if (open.get(tag) === shown) open.delete(tag); };
    return true;
  } catch {
    // Chrome on Android: a constructor that only throws.
    return false;
  }
}

/** What it told of has been seen. */
export function closeNotification(tag: string): void {
  open.get(tag)?.close();
  open.delete(tag);
}
