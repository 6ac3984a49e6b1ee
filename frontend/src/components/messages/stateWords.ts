// What a message's state is called, in tooltips and for screen readers alike.
import * as format from "../../format";
import type { MessageState } from "../../model/types";

export function stateWords(state: MessageState, at: number): string {
  switch (state.at) {
    case "queued":
      return "Waiting for connection";
    case "sending":
      return "Sending…";
    case "sent":
      return `Sent ${format.time(at)}`;
    case "delivered":
      return state.of > 1 ? `Delivered to ${state.to} of ${state.of}` : "Delivered";
    case "read":
      return state.of > 1 ? `Read by ${state.by} of ${state.of}` : "Read";
    case "failed":
      return `Not sent: ${state.reason}`;
  }
}
