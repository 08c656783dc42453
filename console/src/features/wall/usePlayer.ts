import { onBeforeUnmount, shallowRef, toValue, watch, type MaybeRefOrGetter } from 'vue'
import { WhepPlayer, type View } from '@/media/whep'

const IDLE: View = { phase: 'idle', reason: null, retryAt: null, lastFrameAt: null, firstFrameMs: null, stats: null }

/** A WHEP player for the stream at `url` (null: none). It ends with the component. */
export function usePlayer(url: MaybeRefOrGetter<string | null>, video: MaybeRefOrGetter<HTMLVideoElement | null>) {
  const view = shallowRef<View>(IDLE)
  let player: WhepPlayer | null = null

  function end(): void {
    player?.attach(null)
    player?.stop()
    player = null
    view.value = IDLE
  }

  watch(
    [() => toValue(url), () => toValue(video)],
    ([to, element], [from]) => {
      if (to !== from || !to) end()
      if (!to) return
      if (!player) {
        const fresh = new WhepPlayer({ url: to })
        fresh.on('change', (now) => {
          if (player === fresh) view.value = now
        })
        player = fresh
        fresh.start()
      }
      player.attach(element)
    },
    { immediate: true, flush: 'post' },
  )
  onBeforeUnmount(end)

  return { view, retryNow: () => player?.retryNow() }
}
