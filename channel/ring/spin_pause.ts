// A breath between two polls. Imports nothing.

/** Lets the other hardware thread of the core run, where there is one. */
export const spinPause: () => void = (Atomics as unknown as { pause?: () => void }).pause?.bind(Atomics) ?? (() => {});
