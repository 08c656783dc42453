// The hands of one tile on one camera, while it is armed: keys on the tile, a pointer on the picture, the wheel, a gamepad.
// Whatever happens to the page - blur, a lost pointer, another tab - every hand lets go and the camera stops.
import { useEventListener } from '@vueuse/core'
import { onBeforeUnmount, ref, watch, type Ref } from 'vue'
import { toast } from '@/ui/toast'
import { isTyping } from '@/ui/keys'
import { hub } from '@/wire/hub'
import { byDrag, byKeys, byPad, byWheel, isSteeringKey } from './hands'
import { isStill, Steering, STILL, type Motion } from './steering'

const WHEEL_FOR = 220 // ms that one notch zooms

export interface Place {
  camera: string
  tile: Ref<HTMLElement | null>
  surface: Ref<HTMLElement | null>
  armed: Ref<boolean>
  speed: Ref<number> // 0..1
  leave: () => void
}

export function useSteering(place: Place) {
  const motion = ref<Motion>(STILL)
  const gamepad = ref(false)
  const steering = new Steering({
    send: (wanted) => hub.cameras.command(place.camera, { type: 'move', ...wanted }),
    failed: (error) => {
      toast.fail(error)
    },
    changed: (wanted) => {
      motion.value = wanted
    },
  })
  const held = new Set<string>()
  let drag: { id: number; x: number; y: number } | null = null
  let wheel: ReturnType<typeof setTimeout> | undefined
  let frame = 0

  function letGo(): void {
    held.clear()
    drag = null
    clearTimeout(wheel)
    steering.release()
  }

  function keyDown(event: KeyboardEvent): void {
    if (!place.armed.value || event.ctrlKey || event.altKey || event.metaKey || isTyping(event.target)) return
    if (event.key === 'Escape') {
      event.preventDefault()
      event.stopPropagation()
      place.leave()
      return
    }
    if (!isSteeringKey(event.key)) return
    event.preventDefault()
    event.stopPropagation()
    held.add(event.key)
    steering.hold('keys', byKeys(held, place.speed.value))
  }

  function keyUp(event: KeyboardEvent): void {
    if (!held.delete(event.key)) return
    // Shift may change the name of a key between down and up
    if (event.key === '+' || event.key === '=') for (const key of ['+', '=']) held.delete(key)
    if (event.key === '-' || event.key === '_') for (const key of ['-', '_']) held.delete(key)
    steering.hold('keys', byKeys(held, place.speed.value))
  }

  useEventListener(place.tile, 'keydown', keyDown)
  useEventListener(window, 'keyup', keyUp)
  useEventListener(place.tile, 'focusout', () => {
    held.clear()
    steering.hold('keys', STILL)
  })
  useEventListener(window, ['blur', 'pagehide'], letGo)
  useEventListener(document, 'visibilitychange', () => {
    if (document.hidden) letGo()
  })

  useEventListener(place.surface, 'pointerdown', (event: PointerEvent) => {
    if (event.button !== 0 || drag) return
    place.surface.value?.setPointerCapture(event.pointerId)
    drag = { id: event.pointerId, x: event.clientX, y: event.clientY }
  })
  useEventListener(place.surface, 'pointermove', (event: PointerEvent) => {
    const box = place.surface.value
    if (drag?.id !== event.pointerId || !box) return
    steering.hold('drag', byDrag(event.clientX - drag.x, event.clientY - drag.y, box.clientWidth, box.clientHeight, place.speed.value))
  })
  useEventListener(place.surface, ['pointerup', 'pointercancel', 'lostpointercapture'], () => {
    drag = null
    steering.hold('drag', STILL)
  })
  useEventListener(place.surface, 'wheel', (event: WheelEvent) => {
    event.preventDefault()
    steering.hold('wheel', byWheel(event.deltaY, Math.max(0.3, place.speed.value)))
    clearTimeout(wheel)
    wheel = setTimeout(() => {
      steering.hold('wheel', STILL)
    }, WHEEL_FOR)
  }, { passive: false })

  /** A gamepad shows itself upon its first press; its state is read, it sends no events. */
  function poll(): void {
    frame = requestAnimationFrame(poll)
    const pad = document.hasFocus() ? navigator.getGamepads().find((one) => one?.connected && one.mapping === 'standard') : null
    gamepad.value = Boolean(pad)
    steering.hold('gamepad', pad ? byPad(pad, place.speed.value) : STILL)
  }

  watch(place.armed, (on) => {
    cancelAnimationFrame(frame)
    if (on && typeof navigator.getGamepads === 'function') poll()
    if (!on) letGo()
  }, { immediate: true })

  onBeforeUnmount(() => {
    cancelAnimationFrame(frame)
    clearTimeout(wheel)
    steering.close()
  })

  /** A button of the pad: until it is let go. */
  function press(event: PointerEvent | null, wanted: Motion): void {
    const button = event?.currentTarget
    if (event && button instanceof HTMLElement) button.setPointerCapture(event.pointerId)
    steering.hold('pad', wanted)
  }

  return { motion, gamepad, press, letGo, isMoving: () => !isStill(motion.value) }
}
