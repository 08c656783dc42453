// One playback at a time: opened at a moment, watched by WHEP, steered by commands. The device tells no position; it
// follows from the commands and the clock (`Cursor`).
import { computed, onBeforeUnmount, ref, shallowRef, watch, type Ref } from 'vue'
import type { View } from '@/media/watching'
import { WhepPlayer } from '@/media/whep'
import { reasonWords, wordsOf } from '@/ui/words'
import { ApiError } from '@/wire/http'
import { hub } from '@/wire/hub'
import type { Playback, Recording } from '@/wire/types'
import { Cursor, stretch, type Span } from './timeline'

export type PlayState = 'empty' | 'opening' | 'playing' | 'paused' | 'ended' | 'lost'
export const SPEEDS = [0.5, 1, 2, 4, 8] as const
const FIRST_WITHIN = 20_000 // ms: a device opens its disk
const QUIET = 8_000 // ms without a picture: broken off
const TICK = 200 // ms
const MOST = 86_400 // s of one playback

export function usePlayback(camera: string, video: Ref<HTMLVideoElement | null>, records: Ref<readonly Recording[]>) {
  const state = ref<PlayState>('empty')
  const trouble = ref('')
  const speed = ref<number>(1)
  const at = ref<number | null>(null) // Unix seconds
  const view = shallowRef<View | null>(null)
  const open = shallowRef<Playback | null>(null)
  const busy = ref(false) // a command is on its way
  let player: WhepPlayer | null = null
  let leave: (() => void) | null = null // takes the picture off the screen
  let cursor: Cursor | null = null
  let round = 0
  const limits = { frozenAfter: 3_000, lostAfter: QUIET, firstFrameWithin: FIRST_WITHIN, silentAfter: QUIET }

  function shown(): void {
    leave?.()
    leave = video.value && player ? player.show(video.value) : null
  }

  function drop(): void {
    round += 1
    leave?.()
    leave = null
    player?.stop()
    player = null
    cursor = null
    view.value = null
    const old = open.value
    open.value = null
    if (old) void hub.playbacks.end(old.id).catch(() => undefined) // it ends by itself, too
  }

  function finish(to: PlayState, words = ''): void {
    const stood = at.value
    drop()
    at.value = stood
    state.value = to
    trouble.value = words
  }

  /** Play from a moment on, to the end of what is recorded without a gap. */
  async function start(from: number): Promise<void> {
    drop()
    const mine = round
    const span = stretch(records.value, from) ?? { from, to: from + 3_600 }
    state.value = 'opening'
    trouble.value = ''
    at.value = from
    try {
      const start_s = Math.floor(from)
      const made = await hub.playbacks.open(camera, { start_s, end_s: Math.ceil(Math.min(span.to, start_s + MOST)), download: false })
      if (mine !== round) {
        void hub.playbacks.end(made.id).catch(() => undefined)
        return
      }
      open.value = made
      cursor = new Cursor(made.start_s)
      limits.lostAfter = limits.silentAfter = QUIET
      watchIt(made)
    } catch (error) {
      if (mine === round) finish('lost', wordsOf(error))
    }
  }

  function watchIt(playback: Playback): void {
    const fresh = new WhepPlayer({ url: `/whep/playbacks/${encodeURIComponent(playback.id)}`, audio: true, limits })
    player = fresh
    fresh.on('change', (now) => {
      if (player !== fresh) return
      view.value = now
      if (now.phase === 'live' && state.value === 'opening') {
        cursor?.run(Date.now())
        state.value = 'playing'
        if (speed.value !== 1) void give({ action: 'speed', speed: speed.value }).then((done) => { if (done) cursor?.setSpeed(speed.value, Date.now()) })
      } else if (now.phase === 'lost') {
        // no second try by itself: the device would begin at the beginning
        const done = at.value !== null && playback.end_s - at.value < 10
        finish(done ? 'ended' : 'lost', done ? '' : reasonWords(now.reason))
      }
    })
    fresh.start()
    shown()
  }

  async function give(control: { action: 'pause' | 'play' | 'seek' | 'speed'; seek_s?: number; speed?: number }): Promise<boolean> {
    const playback = open.value
    if (!playback) return false
    busy.value = true
    try {
      await hub.playbacks.control(playback.id, control)
      return open.value === playback
    } catch (error) {
      if (open.value === playback) {
        if (error instanceof ApiError && (error.id === 'playback.unknown' || error.id === 'playback.not_running')) finish('lost', wordsOf(error))
        else trouble.value = wordsOf(error)
      }
      return false
    } finally {
      busy.value = false
    }
  }

  async function pause(): Promise<void> {
    if (state.value !== 'playing') return
    limits.lostAfter = limits.silentAfter = limits.frozenAfter = Infinity // a paused picture stands still by right
    if (await give({ action: 'pause' })) {
      cursor?.pause(Date.now())
      state.value = 'paused'
    } else relax()
  }

  function relax(): void {
    limits.lostAfter = limits.silentAfter = QUIET
    limits.frozenAfter = 3_000
  }

  async function resume(): Promise<void> {
    if (state.value === 'paused' && (await give({ action: 'play' }))) {
      cursor?.run(Date.now())
      state.value = 'playing'
      // the first picture after a pause may take its time
      setTimeout(relax, QUIET)
    } else if (state.value === 'ended' || state.value === 'lost') await start(at.value ?? 0)
  }

  /** Go to a moment: by a command while it lies ahead in the same stretch, else by a new playback. */
  async function seek(to: number): Promise<void> {
    const playback = open.value
    const inside = playback && to >= playback.start_s && to < playback.end_s - 1
    if (!inside || (state.value !== 'playing' && state.value !== 'paused')) {
      await start(to)
      return
    }
    at.value = to
    if (await give({ action: 'seek', seek_s: to - playback.start_s })) {
      cursor?.go(to, Date.now())
      if (state.value === 'paused') await resume()
    } else if (open.value === playback) await start(to)
  }

  async function setSpeed(to: number): Promise<void> {
    speed.value = to
    if (state.value !== 'playing' && state.value !== 'paused') return
    if (await give({ action: 'speed', speed: to })) cursor?.setSpeed(to, Date.now())
  }

  const timer = setInterval(() => {
    if (!cursor || !open.value || state.value !== 'playing') return
    at.value = Math.min(cursor.position(Date.now()), open.value.end_s)
    if (cursor.position(Date.now()) > open.value.end_s + 5) finish('ended')
  }, TICK)

  watch(video, shown)
  onBeforeUnmount(() => {
    clearInterval(timer)
    drop()
  })

  const range = computed<Span | null>(() => (open.value ? { from: open.value.start_s, to: open.value.end_s } : null))
  return { state, trouble, speed, at, view, busy, range, start, pause, resume, seek, setSpeed, stop: () => { finish('empty') } }
}
