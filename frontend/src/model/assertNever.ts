// The end of every `switch` over a union: a new variant is a compile error at each place that must know it.
export function assertNever(value: never): never {
  throw new Error(`not a known variant: ${JSON.stringify(value)}`);
}
