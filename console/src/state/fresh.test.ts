import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { createApp, type App } from 'vue'
import { Emitter } from '@/wire/emitter'
import { useFresh } from './fresh'

const line = new Emitter<{ event: { kind: string }; ready: undefined }>()
vi.mock('./link', () => ({ useLink: () => ({ on: line.on.bind(line) }) }))

let app: App | null = null
const load = vi.fn(() => Promise.resolve())

beforeEach(() => {
  vi.useFakeTimers()
  load.mockClear()
  app = createApp({
    setup() {
      useFresh(load, (event) => event.kind.startsWith('drill.'))
      return () => null
    },
  })
  app.mount(document.createElement('div'))
})
afterEach(() => {
  app?.unmount()
  vi.useRealTimers()
})

it('loads once for a burst of events that matter, and not for others', async () => {
  line.emit('event', { kind: 'order.issued' })
  await vi.advanceTimersByTimeAsync(1_000)
  expect(load).not.toHaveBeenCalled()
  for (let n = 0; n < 5; n += 1) line.emit('event', { kind: 'drill.injected' })
  await vi.advanceTimersByTimeAsync(1_000)
  expect(load).toHaveBeenCalledTimes(1)
})

it('loads at once when the line is up again, and never once it is gone', async () => {
  line.emit('ready', undefined)
  expect(load).toHaveBeenCalledTimes(1)
  app?.unmount()
  app = null
  line.emit('ready', undefined)
  line.emit('event', { kind: 'drill.injected' })
  await vi.advanceTimersByTimeAsync(1_000)
  expect(load).toHaveBeenCalledTimes(1)
})
