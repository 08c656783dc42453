import { onBeforeUnmount, shallowRef, toValue, watch, type MaybeRefOrGetter } from 'vue'
import type { Player } from '@/media/shared'
import type { View } from '@/media/watching'
import type { Off } from '@/wire/emitter'
import { playerOf } from '@/state/media'

const IDLE: View = { phase: 'idle', reason: null, retryAt: null, lastFrameAt: null, firstFrameMs: null, stats: null }

/** A player of this camera (null: none) on the page's one connection. It ends with the component. */
export function usePlayer(camera: MaybeRefOrGetter<string | null>, video: MaybeRefOrGetter<HTMLVideoElement | null>) {
  const view = shallowRef<View>(IDLE)
  let player: Player | null = null
  let leave: Off | null = null

  function end(): void {
    leave?.()
    leave = null
    player?.stop()
    player = null
    view.value = IDLE
  }

  watch(
    [() => toValue(camera), () => toValue(video)],
    ([to, element], [from]) => {
      if (to !== from || !to) end()
      if (!to) return
      if (!player) {
        const fresh = playerOf({ camera: to })
        fresh.on('change', (now) => {
          if (player === fresh) view.value = now
        })
        player = fresh
        fresh.start()
      }
      leave?.()
      leave = element ? player.show(element) : null
    },
    { immediate: true, flush: 'post' },
  )
  onBeforeUnmount(end)

  return { view, retryNow: () => player?.retryNow() }
}
