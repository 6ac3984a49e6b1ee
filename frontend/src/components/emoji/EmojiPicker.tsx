// Every emoji, to search and to choose from with keyboard or mouse. The data is part of the program:
// nothing is asked of any server, so it works offline too. Loaded when it is opened first.
import { EmojiPicker as Frimousse, type EmojiData, type EmojiPickerListEmojiProps, type EmojiPickerListRowProps } from "frimousse";
import data from "virtual:emoji";
import { useMediaQuery, TOUCH } from "../../a11y/useMediaQuery";

interface EmojiPickerProps {
  onChoose: (emoji: string) => void;
}

const capitalised = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);

const loaded: EmojiData = {
  locale: "en",
  emojis: data.emojis.map(([emoji, label, tags, category]) => ({ emoji, label: capitalised(label), tags: tags.split("|"), category, version: 1 })),
  categories: data.categories.map(([index, label]) => ({ index, label: capitalised(label) })),
  skinTones: { light: "Light", "medium-light": "Medium-light", medium: "Medium", "medium-dark": "Medium-dark", dark: "Dark" },
};
const resolve = () => loaded;

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
        <Frimousse.Search aria-label="Search emojis" placeholder="Search" autoFocus className="h-9 w-full rounded-control border border-field bg-canvas px-3 outline-offset-0 pointer-coarse:h-11 pointer-coarse:text-base" />
      </div>
      <Frimousse.Viewport tabIndex={0} className="relative min-h-0 flex-1 outline-none">
        <Frimousse.Loading className="absolute inset-0 grid place-items-center text-muted">Loading…</Frimousse.Loading>
        <Frimousse.Empty className="absolute inset-0 grid place-items-center px-4 text-center text-muted">{({ search }) => <>No emoji for “{search}”</>}</Frimousse.Empty>
        <Frimousse.List className="pb-1 select-none" components={{ CategoryHeader: Category, Row, Emoji }} />
      </Frimousse.Viewport>
      <div className="flex h-9 items-center gap-2 border-t border-line px-3 text-meta text-muted">
        <Frimousse.ActiveEmoji>
          {({ emoji }) => (emoji === undefined ? "Choose an emoji" : <><span className="text-[1.125rem]">{emoji.emoji}</span><span className="truncate">{emoji.label}</span></>)}
        </Frimousse.ActiveEmoji>
      </div>
    </Frimousse.Root>
  );
}
