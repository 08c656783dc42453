import { ref, type Ref, shallowReactive, type ShallowRef, shallowRef } from 'vue'
import { LIMITS, type Limits } from '@/media/phase'
import type { Player } from '@/media/shared'
import type { Wish } from '@/media/subscriber'
import type { View } from '@/media/watching'
import { playerOf } from '@/state/media'
import type { Conference, Member } from '@/wire/types'
import { present } from './board'
import { Floor, Meter } from './levels'

/** One stream that comes in: its player, and what a tile shows of it. */
export interface Feed {
  player: Player
  stream: Readonly<ShallowRef<MediaStream>>
  view: Readonly<ShallowRef<View>>
}

interface Held extends Feed {
  limits: Limits
  sound: HTMLAudioElement | null
  seen: ReturnType<typeof setTimeout> | undefined
}

export interface Incoming {
  members: ReadonlyMap<string, Feed>
  stage: Readonly<ShallowRef<Feed | null>>
  speaker: Readonly<Ref<string | null>>
  mute: Readonly<Ref<boolean>> // the browser refuses to play sound until the person touches the page
  follow: (conference: Conference | null, self: string | null) => void
  unmute: () => void
  close: () => void
}

const WATCHED: Limits = { frozenAfter: 3_000, lostAfter: 12_000, firstFrameWithin: 15_000 }
const NEVER: Limits = { frozenAfter: Infinity, lostAfter: Infinity, firstFrameWithin: Infinity }
const CAMERA_OPENS = 4_000 // ms a camera may take after it is switched on before silence counts
const LISTEN_EVERY = 250 // ms

/** What this terminal receives: every present member, and the stage. Lives outside of the pages. */
export function incoming(): Incoming {
  const members = shallowReactive(new Map<string, Held>())
  const stage = shallowRef<Held | null>(null)
  const speaker = ref<string | null>(null)
  const mute = ref(false)
  const meter = new Meter()
  let floor = new Floor()
  let staged: string | null = null
  let listening: ReturnType<typeof setInterval> | undefined

  function play(sound: HTMLAudioElement): void {
    sound.play().catch((error: unknown) => {
      if (error instanceof DOMException && error.name === 'NotAllowedError') mute.value = true
    })
  }

  function hold(wish: Wish, id: string): Held {
    const audio = wish.audio ?? false
    const limits = { ...(audio ? WATCHED : LIMITS) }
    const player = playerOf(wish, limits)
    const stream = shallowRef(player.stream)
    const view = shallowRef(player.view)
    const sound = audio ? new Audio() : null
    player.on('change', (next) => {
      view.value = next
    })
    player.on('stream', (media) => {
      stream.value = media
      if (!sound) return
      sound.srcObject = media
      play(sound)
      meter.add(id, media)
    })
    player.start()
    return { player, stream, view, limits, sound, seen: undefined }
  }

  function release(held: Held | null, id: string): void {
    if (!held) return
    clearTimeout(held.seen)
    held.player.stop()
    if (held.sound) held.sound.srcObject = null
    meter.remove(id)
  }

  // a member without a camera sends no pictures: their absence is then no failure
  function expectPicture(held: Held, video: boolean): void {
    clearTimeout(held.seen)
    if (!video) Object.assign(held.limits, NEVER)
    else held.seen = setTimeout(() => Object.assign(held.limits, WATCHED), CAMERA_OPENS)
  }

  function followMembers(conference: Conference, self: string | null): void {
    const wanted = new Map<string, Member>()
    for (const member of conference.members) {
      if (member.id !== self && member.publishing && present(member)) wanted.set(member.id, member)
    }
    for (const [id, held] of [...members]) {
      if (wanted.has(id)) continue
      release(held, id)
      members.delete(id)
    }
    for (const [id, member] of wanted) {
      const held = members.get(id) ?? hold({ conference: conference.id, member: id, audio: true }, id)
      members.set(id, held)
      expectPicture(held, member.video)
    }
  }

  function followStage(conference: Conference): void {
    const wanted = conference.stage && !conference.ended_at ? conference.stage : null
    if (wanted === staged) return
    staged = wanted
    release(stage.value, 'stage')
    stage.value = wanted ? hold({ conference: conference.id }, 'stage') : null
  }

  function follow(conference: Conference | null, self: string | null): void {
    if (!conference) {
      close()
      return
    }
    followMembers(conference, self)
    followStage(conference)
    listening ??= setInterval(() => {
      speaker.value = floor.next(meter.read(), performance.now())
    }, LISTEN_EVERY)
  }

  function unmute(): void {
    mute.value = false
    for (const { sound } of members.values()) if (sound) play(sound)
  }

  function close(): void {
    clearInterval(listening)
    listening = undefined
    for (const [id, held] of members) release(held, id)
    members.clear()
    release(stage.value, 'stage')
    stage.value = null
    staged = null
    speaker.value = null
    mute.value = false
    floor = new Floor()
    meter.close()
  }

  return { members, stage, speaker, mute, follow, unmute, close }
}
