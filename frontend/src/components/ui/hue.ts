// Which of the eight name colours somebody has: always the same one, everywhere, without asking anyone.

const HUES = 8;

/** 1 to 8, see --hue-n in index.css. FNV-1a: short, and spreads ids that differ in one letter. */
export function hue(seed: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < seed.length; i += 1) hash = Math.imul(hash ^ seed.charCodeAt(i), 0x01000193);
  return ((hash >>> 0) % HUES) + 1;
}
