// Every emoji, to search and to choose from with keyboard or mouse. The data is part of the program:
// nothing is asked of any server, so it works offline too. Loaded when it is opened first.
import { EmojiPicker as Frimousse, type EmojiData, type EmojiPickerListEmojiProps, type EmojiPickerListRowProps } from "frimousse";
import { useMediaQuery, TOUCH } from "../../a11y/useMediaQuery";
import { speech } from "../../i18n/language";
import { rich, t } from "../../i18n/text";

interface EmojiPickerProps {
  onChoose: (emoji: string) => void;
}

const capitalised = (text: string) => text.charAt(0).toLocaleUpperCase(speech().locale) + text.slice(1);

/** By the numbers of the data; 2 is what others are made of. */
const CATEGORIES = [
  [0, "emoji.smileys"], [1, "emoji.people"], [3, "emoji.animals"], [4, "emoji.food"], [5, "emoji.travel"],
  [6, "emoji.activities"], [7, "emoji.objects"], [8, "emoji.symbols"], [9, "emoji.flags"],
] as const;

/** There are no Arabic names of emojis in the data: there, one finds them by their English ones. */
async function resolve(): Promise<EmojiData> {
  const { emojis } = await (speech().language === "de" ? import("virtual:emoji/de") : import("virtual:emoji/en")).then((module) => module.default);
  return {
    locale: "en",
    emojis: emojis.map(([emoji, label, tags, category]) => ({ emoji, label: capitalised(label), tags: tags.split("|"), category, version: 1 })),
    categories: CATEGORIES.map(([index, key]) => ({ index, label: t(key) })),
    skinTones: { light: "", "medium-light": "", medium: "", "medium-dark": "", dark: "" },
  };
}

function Category({ category, ...rest }: { category: { label: string } }) {
  return <div {...rest} className="bg-raised px-3 pt-2 pb-1 text-meta font-semibold text-muted">{category.label}</div>;
}

// ARIA counts rows and columns from one, the library from zero.
const fromOne = (index: number | undefined) => (index === undefined ? undefined : index + 1);

function Row({ children, ...rest }: EmojiPickerListRowProps) {
  return <div {...rest} aria-rowindex={fromOne(rest["aria-rowindex"])} className="scroll-my-1 px-2">{children}</div>;
}

function Emoji({ emoji, ...rest }: EmojiPickerListEmojiProps) {
  return (
    <button {...rest} aria-colindex={fromOne(rest["aria-colindex"])} className="grid size-9 place-items-center rounded-md text-[1.375rem] leading-none data-active:bg-hover pointer-coarse:size-11">
      {emoji.emoji}
    </button>
  );
}

export function EmojiPicker({ onChoose }: EmojiPickerProps) {
  const touch = useMediaQuery(TOUCH);
  return (
    <Frimousse.Root locale="en" columns={touch ? 7 : 9} resolveEmojiData={resolve} onEmojiSelect={({ emoji }) => onChoose(emoji)} className="flex h-full flex-col">
      <div className="p-2 pb-1">
        <Frimousse.Search aria-label={t("emoji.search")} placeholder={t("emoji.searchShort")} autoFocus className="h-9 w-full rounded-control border border-field bg-canvas px-3 outline-offset-0 pointer-coarse:h-11 pointer-coarse:text-base" />
      </div>
      <Frimousse.Viewport tabIndex={0} className="relative min-h-0 flex-1 outline-none">
        <Frimousse.Loading className="absolute inset-0 grid place-items-center text-muted">{t("common.loading")}</Frimousse.Loading>
        <Frimousse.Empty className="absolute inset-0 grid place-items-center px-4 text-center text-muted">{({ search }) => rich("emoji.none", { search: <bdi>{search}</bdi> })}</Frimousse.Empty>
        <Frimousse.List className="pb-1 select-none" components={{ CategoryHeader: Category, Row, Emoji }} />
      </Frimousse.Viewport>
      <div className="flex h-9 items-center gap-2 border-t border-line px-3 text-meta text-muted">
        <Frimousse.ActiveEmoji>
          {({ emoji }) => (emoji === undefined ? t("emoji.choose") : <><span className="text-[1.125rem]">{emoji.emoji}</span><span dir="auto" className="truncate">{emoji.label}</span></>)}
        </Frimousse.ActiveEmoji>
      </div>
    </Frimousse.Root>
  );
}
