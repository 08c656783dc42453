import { flushPromises, mount } from '@vue/test-utils'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { i18n } from '@/i18n'
import { hub } from '@/wire/hub'
import type { Camera } from '@/wire/types'
import PtzPanel from './PtzPanel.vue'
import { AGAIN, GAP, STILL } from './steering'

const camera = { id: 'cam-1' } as Camera
const STOP = { type: 'lens', focus: 0, iris: 0 }

describe('focus and iris', () => {
  const sent: unknown[] = []
  let refuse = 0

  beforeEach(() => {
    vi.useFakeTimers()
    sent.length = 0
    refuse = 0
    HTMLElement.prototype.setPointerCapture = () => undefined
    vi.spyOn(hub.cameras, 'command').mockImplementation((_camera, command) => {
      sent.push(command)
      if (refuse > 0) {
        refuse -= 1
        return Promise.reject(new Error('lost'))
      }
      return Promise.resolve({ result: 'sent' } as Awaited<ReturnType<typeof hub.cameras.command>>)
    })
  })

  afterEach(() => {
    vi.useRealTimers()
    vi.restoreAllMocks()
  })

  async function panel() {
    const shown = mount(PtzPanel, { props: { camera, motion: STILL, gamepad: false, speed: 0.5 }, global: { plugins: [i18n] }, attachTo: document.body })
    ;(shown.vm as unknown as { tab: string }).tab = 'lens'
    await shown.vm.$nextTick()
    return shown
  }

  async function until(ms: number): Promise<void> {
    await flushPromises()
    await vi.advanceTimersByTimeAsync(ms)
    await flushPromises()
  }

  it.each(['pointerup', 'pointercancel', 'lostpointercapture'])('a button stops upon %s, once', async (end) => {
    const shown = await panel()
    const near = shown.get('[data-testid="lens-focus-plus"]')
    await near.trigger('pointerdown', { button: 0, pointerId: 1 })
    await until(GAP)
    await near.trigger(end)
    await near.trigger('lostpointercapture')
    await until(GAP)
    expect(sent).toEqual([{ type: 'lens', focus: 0.5, iris: 0 }, STOP])
    shown.unmount()
    await until(GAP)
    expect(sent).toHaveLength(2)
  })

  it.each(['keyup', 'blur'])('a key stops upon %s', async (end) => {
    const shown = await panel()
    const close = shown.get('[data-testid="lens-iris-minus"]')
    await close.trigger('keydown', { key: ' ' })
    await close.trigger('keydown', { key: ' ' }) // it repeats while it is held
    await until(GAP)
    await close.trigger(end, end === 'keyup' ? { key: ' ' } : {})
    await until(GAP)
    expect(sent).toEqual([{ type: 'lens', focus: 0, iris: -0.5 }, STOP])
    shown.unmount()
  })

  it('a stop that is lost is sent again until it arrives', async () => {
    const shown = await panel()
    const near = shown.get('[data-testid="lens-focus-plus"]')
    await near.trigger('pointerdown', { button: 0, pointerId: 1 })
    await until(GAP)
    refuse = 2
    await near.trigger('pointerup')
    await until(AGAIN)
    await until(AGAIN)
    expect(sent.slice(1)).toEqual([STOP, STOP, STOP])
    await until(10 * AGAIN)
    expect(sent).toHaveLength(4)
    shown.unmount()
  })

  it.each([
    ['the window loses the focus', (shown: Awaited<ReturnType<typeof panel>>) => { window.dispatchEvent(new Event('blur')); return shown }],
    ['the panel goes away', (shown: Awaited<ReturnType<typeof panel>>) => { shown.unmount(); return shown }],
    ['another tab is chosen', (shown: Awaited<ReturnType<typeof panel>>) => { (shown.vm as unknown as { tab: string }).tab = 'turn'; return shown }],
  ])('stops when %s', async (_name, happens) => {
    const shown = await panel()
    await shown.get('[data-testid="lens-iris-plus"]').trigger('pointerdown', { button: 0, pointerId: 1 })
    await until(GAP)
    happens(shown)
    await until(GAP)
    expect(sent).toEqual([{ type: 'lens', focus: 0, iris: 0.5 }, STOP])
    shown.unmount()
  })
})
