// What is said in the gallery. Times count back from when the page was loaded, so that it always
// looks like today; tests fix the clock.
import type { Role } from "../protocol";
import type { ConversationItem, Member, MessageState, Pins, Quote, Reaction, Timeline, TimelineEntry, TimelineMessage, TimelineNote, UserId } from "../model/types";
import type { World } from "./FakeClient";
import { ana, bob, cid, ines, kenji, layla, me, tom } from "./people";

export const NOW = Date.now();
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

interface Said {
  from: UserId;
  text: string;
  ago: number;
  state?: MessageState;
  /** How long ago it was edited. */
  edited?: number;
  deleted?: boolean;
  quote?: Quote;
  reactions?: Reaction[];
  pinned?: boolean;
}

const READ: MessageState = { at: "read", by: 1, of: 1 };

function message(seq: number | null, { from, text, ago, state, edited, deleted = false, quote, reactions = [], pinned = false }: Said, key = `m-${seq}`): TimelineMessage {
  const mine = from === me.userId;
  return {
    kind: "message", key, seq, from, mine, text, editedAt: edited === undefined ? null : NOW - edited, deleted, at: NOW - ago,
    quote: quote ?? null, reactions, pinned, amending: false,
    state: mine && !deleted ? (state ?? READ) : null,
  };
}

export function timeline(entries: TimelineEntry[], more: Partial<Timeline> = {}): Timeline {
  const head = entries.reduce((highest, entry) => Math.max(highest, entry.seq ?? 0), 0);
  return { entries, older: "start-reached", loaded: true, read: head, head, ...more };
}

const say = (list: Said[], from = 1) => list.map((said, index) => message(from + index, said));
const note = (seq: number, ago: number, from: UserId, what: TimelineNote["note"]): TimelineNote => ({ kind: "note", key: `n-${seq}`, seq, at: NOW - ago, from, note: what });

export const direct = timeline(say([
  { from: bob.userId, ago: DAY + 3 * HOUR, text: "Did the ferry timetable change again?" },
  { from: me.userId, ago: DAY + 3 * HOUR - 2 * MINUTE, text: "Yes, winter schedule since Monday. The last one back leaves at 19:40 now." },
  { from: bob.userId, ago: DAY + 2 * HOUR, text: "Good to know, thanks" },
  { from: bob.userId, ago: DAY + 2 * HOUR - MINUTE, text: "I would have stood there at eight like last year 😅" },
  { from: me.userId, ago: 3 * HOUR, text: "Morning! Here is the list for Saturday:\n\n• two tents\n• the big stove\n• map (paper!)\n\nAnything missing?" },
  { from: bob.userId, ago: 2 * HOUR, text: "Headlamps. And somebody should check the hut: https://huts.example.org/east-ridge?from=2026-11-28 (it says “limited places”)." },
  { from: bob.userId, ago: 2 * HOUR - MINUTE, text: "I can do that tonight" },
  { from: me.userId, ago: 40 * MINUTE, text: "Perfect" },
  { from: me.userId, ago: 39 * MINUTE, text: "Then I take care of food. Any allergies in the group?" },
  { from: bob.userId, ago: 6 * MINUTE, text: "Only Kenji: no peanuts." },
  { from: me.userId, ago: 2 * MINUTE, text: "Noted 👍", state: { at: "delivered", to: 1, of: 1 } },
]));

export const states = timeline([
  ...say([
    { from: bob.userId, ago: 12 * MINUTE, text: "A message can also be edited,", edited: 11 * MINUTE },
    { from: bob.userId, ago: 11 * MINUTE, text: "", deleted: true },
    { from: me.userId, ago: 10 * MINUTE, text: "", deleted: true },
    { from: bob.userId, ago: 9 * MINUTE, text: "Every state a message of yours can have:" },
    { from: me.userId, ago: 8 * MINUTE, text: "Read" },
    { from: bob.userId, ago: 8 * MINUTE, text: "…" },
    { from: me.userId, ago: 7 * MINUTE, text: "Delivered", state: { at: "delivered", to: 1, of: 1 } },
    { from: bob.userId, ago: 7 * MINUTE, text: "…" },
    { from: me.userId, ago: 6 * MINUTE, text: "Sent before: shows its state on hover only", state: { at: "sent" } },
    { from: me.userId, ago: 6 * MINUTE, text: "Sent", state: { at: "sent" } },
  ]),
  message(null, { from: me.userId, ago: 5 * MINUTE, text: "This one was refused by the server, and says why.", state: { at: "failed", reason: "too_large" } }, "p-1"),
  message(null, { from: me.userId, ago: 30_000, text: "Sending", state: { at: "sending", since: NOW - 3000 } }, "p-2"),
  message(null, { from: me.userId, ago: 10_000, text: "Waiting for the connection", state: { at: "queued" } }, "p-3"),
]);

const reaction = (emoji: string, ...people: { userId: UserId }[]): Reaction => ({
  emoji, users: people.map(({ userId }) => userId), mine: people.includes(me),
});

/** Texts with marks, in both directions. */
export const marks = timeline([
  ...say([
    { from: ana.userId, ago: 5 * HOUR, text: "**Saturday**, in short:\n\n1. train at 7:10, _platform 4_\n2. lunch at the hut\n3. back by ~~18:00~~ 19:30\n\nQuestions? Ask Kenji." },
    { from: kenji.userId, ago: 4 * HOUR, text: "> back by 18:00\n\nThat was never going to work.\n\n- [x] tickets\n- [ ] first aid kit" },
    { from: me.userId, ago: 3 * HOUR, text: "The tide for the day, from `tides --day sat`:\n\n```\n05:12  0.9 m  low\n11:31  4.6 m  high   and a line that is much longer than any bubble will ever be on a telephone\n17:40  1.1 m  low\n```", state: { at: "read", by: 4, of: 5 } },
    { from: bob.userId, ago: 2 * HOUR, text: "| who | brings |\n| --- | --- |\n| Ana | bread |\n| Layla | coffee |\n\nand the [map](https://maps.example/route/42)" },
    { from: layla.userId, ago: HOUR, text: "**ملاحظة:** موعدنا عند الساعة `7:00`\n\n- الماء\n- الخبز" },
    { from: me.userId, ago: 30 * MINUTE, text: "# Agreed\n**See you there!**", state: { at: "delivered", to: 3, of: 5 } },
  ]),
]);

/** What can become of messages: reactions, answers, edits, pins, deletions. */
export const amended = timeline([
  note(1, 2 * DAY, ana.userId, { type: "created", kind: "group", title: "East Ridge", members: [ana.userId, bob.userId, me.userId] }),
  ...say([
    { from: ana.userId, ago: 5 * HOUR, text: "Meeting point: platform 4, under the clock, at 7:00. Bring the printed tickets.", pinned: true, edited: 4 * HOUR, reactions: [reaction("👍", bob, me, kenji), reaction("🎟️", layla)] },
    { from: kenji.userId, ago: 4 * HOUR, text: "Which trail do we take? The north side had ice two weeks ago." },
    { from: me.userId, ago: 3 * HOUR, text: "South, then over the saddle. It is longer but safe.", quote: { seq: 3, from: kenji.userId, text: "Which trail do we take? The north side had ice two weeks ago.", state: "said" }, reactions: [reaction("❤️", ana, kenji, bob, layla), reaction("🥾", ana), reaction("🎉", me)], state: { at: "read", by: 4, of: 5 } },
    { from: bob.userId, ago: 2 * HOUR, text: "", deleted: true },
    { from: layla.userId, ago: HOUR, text: "أنا أحضر القهوة", quote: { seq: 2, from: ana.userId, text: "Meeting point: platform 4, under the clock, at 7:00. Bring the printed tickets.", state: "said" }, reactions: [reaction("☕", me, bob)] },
    { from: me.userId, ago: 40 * MINUTE, text: "", deleted: true },
    { from: bob.userId, ago: 30 * MINUTE, text: "Never mind, I found them.", quote: { seq: 5, from: bob.userId, text: "", state: "deleted" } },
    { from: me.userId, ago: 20 * MINUTE, text: "I booked the hut for both nights. The key is in the box beside the door, the code comes on Friday.", edited: 10 * MINUTE, pinned: true, state: { at: "delivered", to: 3, of: 5 } },
  ], 2),
]);

/** As the details list them: one of them is far back. */
export const pins: Pins = {
  state: "ready",
  messages: [
    ...amended.entries.flatMap((entry) => (entry.kind === "message" && entry.pinned && entry.seq !== null ? [{ seq: entry.seq, from: entry.from, text: entry.text, at: entry.at }] : [])).reverse(),
    { seq: 1, from: tom.userId, text: "Emergency number of the valley: 112, and the hut keeper has a radio.", at: NOW - 12 * DAY },
  ],
};

export const queued = timeline([
  ...direct.entries,
  message(null, { from: me.userId, ago: MINUTE, text: "Are you on the train already?", state: { at: "queued" } }, "p-1"),
  message(null, { from: me.userId, ago: MINUTE / 2, text: "I will bring the stove to the station", state: { at: "queued" } }, "p-2"),
]);

export const group = timeline([
  note(1, 2 * DAY, ana.userId, { type: "created", kind: "group", title: "East Ridge", members: [ana.userId, bob.userId, me.userId] }),
  note(2, 2 * DAY - MINUTE, ana.userId, { type: "added", users: [kenji.userId, layla.userId, tom.userId] }),
  ...say([
    { from: ana.userId, ago: DAY + 5 * HOUR, text: "Hello everybody! The forecast for Saturday looks good: cold and clear." },
    { from: kenji.userId, ago: DAY + 5 * HOUR - 3 * MINUTE, text: "Finally." },
    { from: kenji.userId, ago: DAY + 5 * HOUR - 4 * MINUTE, text: "Which trail do we take? The north side had ice two weeks ago." },
    { from: me.userId, ago: DAY + 4 * HOUR, text: "South, then over the saddle. It is longer but safe.", state: { at: "read", by: 4, of: 5 } },
  ], 3),
  note(7, 5 * HOUR, ana.userId, { type: "role", user: me.userId, role: "owner" }),
  note(8, 5 * HOUR - MINUTE, tom.userId, { type: "left" }),
  ...say([
    { from: layla.userId, ago: 3 * HOUR, text: "صباح الخير! هل نلتقي في المحطة الساعة السابعة؟" },
    { from: bob.userId, ago: 2 * HOUR, text: "Seven at the station works. I hold a table in the café until the train comes, they open at half past six." },
    { from: ana.userId, ago: HOUR, text: "Here are the rules of the hut, please read them:\nhttps://huts.example.org/rules" },
    { from: me.userId, ago: 20 * MINUTE, text: "Read and agreed.", state: { at: "delivered", to: 3, of: 5 } },
  ], 9),
]);

export const rtl = timeline(say([
  { from: layla.userId, ago: 2 * HOUR, text: "مرحبًا ميرا، كيف حالك اليوم؟" },
  { from: me.userId, ago: 2 * HOUR - MINUTE, text: "أهلًا ليلى! بخير، شكرًا. هل وصلتك الخريطة؟" },
  { from: layla.userId, ago: HOUR, text: "نعم، وصلت. الرابط هنا: https://maps.example.org/ridge" },
  { from: layla.userId, ago: HOUR - MINUTE, text: "The English name is “East Ridge”, والاسم العربي «الحافة الشرقية»." },
  { from: me.userId, ago: 5 * MINUTE, text: "ممتاز، نلتقي يوم السبت" },
]));

const WORDS = "the a ridge snow hut we trail morning stove map river cold clear over under again maybe later soon path light boots rope north south tea".split(" ");

/** The n-th of a long conversation: always the same, of very different lengths. */
export function nth(seq: number, head: number): TimelineMessage {
  const length = 2 + ((seq * 7919) % 41);
  const text = Array.from({ length }, (_, i) => WORDS[(seq * 31 + i * 17) % WORDS.length]).join(" ");
  const from = seq % 5 < 2 ? me.userId : bob.userId;
  return message(seq, { from, ago: (head - seq) * 7 * MINUTE, text: `${seq}: ${text}${seq % 9 === 0 ? "\nsecond line\nthird line" : ""}` });
}

const HEAD = 10_000;
const PAGE = 50;

const page = (before: number) => Array.from({ length: Math.min(PAGE, before - 1) }, (_, i) => nth(Math.max(before - PAGE, 1) + i, HEAD));

export const long = timeline(page(HEAD + 1), { older: "more" });
export const manyUnread = timeline(page(HEAD + 1), { older: "more", read: HEAD - 120 });
export const fewUnread: Timeline = { ...direct, read: 5 };

export function olderPage(before: TimelineEntry): TimelineEntry[] {
  return before.seq === null ? [] : page(before.seq);
}

const item = (n: number, more: Partial<ConversationItem> & Pick<ConversationItem, "name" | "preview">): ConversationItem => ({
  id: cid(n), kind: "direct", topic: null, peer: null, memberCount: 2, role: "member", draft: null, updatedAt: NOW, unread: 0, online: false, access: "private", history: "all", hidden: false, typing: [], ...more,
});

export const BOB = cid(1);
export const GROUP = cid(2);
export const LAYLA = cid(5);

export const items: ConversationItem[] = [
  item(1, { name: bob.displayName, peer: bob.userId, online: true, updatedAt: NOW - 2 * MINUTE, preview: { text: "Noted 👍", mine: true, from: me.userId } }),
  item(2, { name: "East Ridge", kind: "group", memberCount: 6, role: "owner", updatedAt: NOW - 20 * MINUTE, preview: { text: "Read and agreed.", mine: true, from: me.userId } }),
  item(3, { name: ana.displayName, peer: ana.userId, online: true, updatedAt: NOW - 26 * MINUTE, unread: 3, preview: { text: "Could you look at the booking once more? I think the second night is missing", mine: false, from: ana.userId } }),
  item(4, { name: "Climbing gym Thursdays", kind: "group", memberCount: 14, updatedAt: NOW - 2 * HOUR, unread: 128, typing: ["Kenji", "Tom"], preview: { text: "see you there", mine: false, from: kenji.userId } }),
  item(5, { name: layla.displayName, peer: layla.userId, updatedAt: NOW - 5 * HOUR, preview: { text: "ممتاز، نلتقي يوم السبت", mine: true, from: me.userId } }),
  item(6, { name: kenji.displayName, peer: kenji.userId, updatedAt: NOW - DAY, draft: "About the rope: I would rather", preview: { text: "Sounds good", mine: false, from: kenji.userId } }),
  item(7, { name: "Neighbours at Number 14, courtyard and garden committee", kind: "group", memberCount: 9, updatedAt: NOW - 3 * DAY, preview: { text: "The bins are collected on Friday this week.", mine: false, from: ines.userId } }),
  item(8, { name: tom.displayName, peer: tom.userId, updatedAt: NOW - 24 * DAY, preview: { text: "Happy birthday! 🎉", mine: true, from: me.userId } }),
];

const member = (user: UserId, role: Role = "member"): Member => ({ user, role, marker: { received: 12, read: 12 } });

export const world: World = {
  session: { at: "signed-in", me },
  connection: { at: "online", since: NOW - HOUR, justBack: false },
  items,
  listState: "ready",
  timelines: new Map([[BOB, direct], [GROUP, group], [LAYLA, rtl]]),
  members: [member(ana.userId, "owner"), member(me.userId, "owner"), member(bob.userId), member(kenji.userId), member(layla.userId), member(ines.userId)],
  refusal: null,
  pins: { state: "ready", messages: [] },
  olderPage,
};
