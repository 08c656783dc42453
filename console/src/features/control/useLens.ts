// Focus and iris of one camera: they go on until they are stopped, as the motion does, so they are steered by the same rules -
// one message in flight, a stop that never waits and is sent again until it arrives, and nobody's hand outlives the page's focus.
import { useEventListener } from '@vueuse/core'
import { onBeforeUnmount, ref } from 'vue'
import { toast } from '@/ui/toast'
import { hub } from '@/wire/hub'
import { Steering, STILL, type Motion } from './steering'

export type Ring = 'focus' | 'iris'
export interface Lens {
  focus: number // -1..1, near is positive
  iris: number // open is positive
}

/** Rings of the lens as the two axes of a motion, and back. */
export const asMotion = (ring: Ring, by: number): Motion => ({ ...STILL, [ring === 'focus' ? 'pan' : 'tilt']: by })
export const asLens = (motion: Motion): Lens => ({ focus: motion.pan, iris: motion.tilt })

export function useLens(camera: string) {
  const turning = ref<Lens>({ focus: 0, iris: 0 })
  const steering = new Steering({
    send: (wanted) => hub.cameras.command(camera, { type: 'lens', ...asLens(wanted) }),
    failed: (error) => {
      toast.fail(error)
    },
    changed: (wanted) => {
      turning.value = asLens(wanted)
    },
  })

  function letGo(): void {
    steering.release()
  }

  /** A button: until it is let go. Without an event it is a key. */
  function press(event: PointerEvent | null, ring: Ring, by: number): void {
    const button = event?.currentTarget
    if (event && button instanceof HTMLElement) button.setPointerCapture(event.pointerId)
    steering.hold('pad', asMotion(ring, by))
  }

  useEventListener(window, ['blur', 'pagehide'], letGo)
  useEventListener(document, 'visibilitychange', () => {
    if (document.hidden) letGo()
  })
  onBeforeUnmount(() => {
    steering.close()
  })

  return { turning, press, letGo }
}
