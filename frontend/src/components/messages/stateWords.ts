// What a message's state is called, in tooltips and for screen readers alike.
import * as format from "../../format";
import { t } from "../../i18n/text";
import type { MessageState } from "../../model/types";
import { reasonWords } from "../problemWords";

export function stateWords(state: MessageState, at: number): string {
  switch (state.at) {
    case "queued":
      return t("state.queued");
    case "sending":
      return t("state.sending");
    case "sent":
      return t("state.sent", { time: format.time(at) });
    case "delivered":
      return state.of > 1 ? t("state.deliveredTo", { to: state.to, of: state.of }) : t("state.delivered");
    case "read":
      return state.of > 1 ? t("state.readBy", { by: state.by, of: state.of }) : t("state.read");
    case "failed":
      return t("message.notSent", { reason: reasonWords(state.reason) });
  }
}
