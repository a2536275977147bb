/** An object that knows only what it was given: anything else asked of it is an error, so that no call of the real API goes untested unnoticed. */
export function strict<T extends object>(name: string, known: T): T {
  return new Proxy(known, {
    get: (target, key, receiver) => {
      if (key in target || typeof key === "symbol" || key === "then" || key === "toJSON") return Reflect.get(target, key, receiver) as unknown;
      throw new Error(`the stand-in for electron has no ${name}.${key}`);
    },
  });
}

/** A cancellable event, as Electron's. */
export class StandInEvent {
  defaultPrevented = false;
  preventDefault(): void {
    this.defaultPrevented = true;
  }
}
