// A typed emitter: `on` answers the function that takes the handler off again.

export type Off = () => void

export class Emitter<Map extends object> {
  private readonly handlers = new globalThis.Map<keyof Map, Set<(value: never) => void>>()

  on<K extends keyof Map>(name: K, handler: (value: Map[K]) => void): Off {
    const set = this.handlers.get(name) ?? new Set()
    this.handlers.set(name, set)
    set.add(handler)
    return () => {
      set.delete(handler)
    }
  }

  emit<K extends keyof Map>(name: K, value: Map[K]): void {
    for (const handler of [...(this.handlers.get(name) ?? [])]) (handler as (value: Map[K]) => void)(value)
  }
}
