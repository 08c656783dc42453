import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createApp, type App } from 'vue'
import { usePolled, type Polled } from './polled'

let app: App | null = null

function mounted(fetch: () => Promise<void>, wanted?: () => boolean): Polled {
  const made: Polled[] = []
  app = createApp({
    setup() {
      made.push(usePolled(fetch, 1_000, wanted))
      return () => null
    },
  })
  app.mount(document.createElement('div'))
  const [polled] = made
  if (!polled) throw new Error('not mounted')
  return polled
}

describe('polling', () => {
  beforeEach(() => vi.useFakeTimers())
  afterEach(() => {
    app?.unmount()
    vi.useRealTimers()
  })

  it('fetches at once, then every interval, and no more once it is gone', async () => {
    const fetch = vi.fn(() => Promise.resolve())
    mounted(fetch)
    expect(fetch).toHaveBeenCalledTimes(1)
    await vi.advanceTimersByTimeAsync(2_000)
    expect(fetch).toHaveBeenCalledTimes(3)
    app?.unmount()
    app = null
    await vi.advanceTimersByTimeAsync(5_000)
    expect(fetch).toHaveBeenCalledTimes(3)
  })

  it('keeps the problem until a try succeeds', async () => {
    const down = new Error('down')
    const fetch = vi.fn(() => Promise.resolve()).mockRejectedValueOnce(down)
    const { problem, load } = mounted(fetch)
    await vi.advanceTimersByTimeAsync(0)
    expect(problem.value).toBe(down)
    await load()
    expect(problem.value).toBeNull()
  })

  it('lets a turn pass while nobody wants it', async () => {
    const fetch = vi.fn(() => Promise.resolve())
    let wanted = false
    mounted(fetch, () => wanted)
    await vi.advanceTimersByTimeAsync(2_000)
    expect(fetch).toHaveBeenCalledTimes(1)
    wanted = true
    await vi.advanceTimersByTimeAsync(1_000)
    expect(fetch).toHaveBeenCalledTimes(2)
  })
})
