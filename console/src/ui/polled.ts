import { onBeforeUnmount, onMounted, shallowRef, type ShallowRef } from 'vue'

export interface Polled {
  problem: Readonly<ShallowRef<unknown>> // why the last try failed, null when it did not
  load: () => Promise<void>
}

/** Fetch when the component appears and every `every` ms as long as it stands and it is `wanted`. */
export function usePolled(fetch: () => Promise<void>, every: number, wanted: () => boolean = () => true): Polled {
  const problem = shallowRef<unknown>(null)

  async function load(): Promise<void> {
    try {
      await fetch()
      problem.value = null
    } catch (error) {
      problem.value = error
    }
  }

  let timer: ReturnType<typeof setInterval> | undefined
  onMounted(() => {
    void load()
    timer = setInterval(() => {
      if (wanted()) void load()
    }, every)
  })
  onBeforeUnmount(() => {
    clearInterval(timer)
  })
  return { problem, load }
}
