// Who types right now. Its room above the composer is always there, so that nothing moves.
import { typingWords } from "../typingWords";

export function TypingLine({ who }: { who: string[] }) {
  return (
    <p className="mx-auto flex h-5 w-full max-w-[760px] shrink-0 items-center gap-2 px-5 text-meta text-muted">
      {who.length > 0 && (
        <>
          <span aria-hidden className="flex gap-0.5">
            {[0, 1, 2].map((dot) => (
              <span key={dot} className="size-1 animate-typing rounded-full bg-muted" style={{ animationDelay: `${dot * 150}ms` }} />
            ))}
          </span>
          <bdi className="truncate">{typingWords(who)}</bdi>
        </>
      )}
    </p>
  );
}
