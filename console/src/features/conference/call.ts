import { defineStore } from 'pinia'
import { computed, markRaw, ref, shallowRef, watch } from 'vue'
import { translate } from '@/i18n'
import { useLink } from '@/state/link'
import { useSession } from '@/state/session'
import { toast } from '@/ui/toast'
import { ApiError } from '@/wire/http'
import { hub } from '@/wire/hub'
import type { ClientMessage } from '@/wire/messages'
import type { Conference, NewConference } from '@/wire/types'
import { onStage, present, returnable, seatOf } from './board'
import { incoming } from './incoming'
import { outgoing } from './outgoing'
import { useRings } from './rings'

export interface Over {
  conference: Conference
  lasted: number // ms
}

const AGAIN = 3_000 // ms until media that was refused for good is tried anew, while the call goes on
const AGAIN_MOST = 10

/** The call of this terminal. It lives here and not in a page: looking at the map never loses it. */
export const useCall = defineStore('call', () => {
  const link = useLink()
  const session = useSession()
  const rings = useRings()
  const conference = shallowRef<Conference | null>(null)
  const joining = ref<string | null>(null)
  const waiting = shallowRef<Conference[]>([]) // running, with a seat for me, not entered here
  const over = shallowRef<Over | null>(null)
  const chosen = ref<string | null>(null) // the member that this person enlarged
  const spoke = ref<string | null>(null) // who spoke last: the stage does not jump back in every pause
  const out = markRaw(outgoing(sayDevices)) // raw: streams and players must not be wrapped
  const into = markRaw(incoming())
  let tries = 0
  let again: ReturnType<typeof setTimeout> | undefined
  let publishedTo: string | null = null

  const seat = computed(() => (conference.value && session.me ? seatOf(conference.value, session.me) : null))
  const host = computed(() => seat.value?.host === true)
  const shownMember = computed(() =>
    onStage(conference.value?.members ?? [], chosen.value, spoke.value, seat.value?.id ?? null),
  )

  function send(message: ClientMessage): boolean {
    const sent = link.send(message)
    if (!sent) toast.fail(new ApiError({ id: 'network.unreachable', message: '', status: 0 }))
    return sent
  }

  function sayDevices(): void {
    if (!conference.value || !seat.value || !present(seat.value)) return
    const [audio, video] = [out.audio.value, out.video.value]
    link.send({ type: 'conference.devices', conference: conference.value.id, audio, video })
  }

  /** Send media once both are there: the devices, and a seat in the conference. */
  function publishWhenPossible(): void {
    const id = conference.value?.id
    if (!id || publishedTo === id || !out.local.value || !seat.value || !present(seat.value)) return
    publishedTo = id
    out.publish(id)
    sayDevices()
  }

  function settle(next: Conference): void {
    const before = seat.value
    conference.value = next
    joining.value = null
    waiting.value = waiting.value.filter((one) => one.id !== next.id)
    if (next.ended_at) {
      finish(next)
      return
    }
    const lostSeat = before !== null && present(before) && !(seat.value && present(seat.value))
    if (!seat.value || lostSeat) {
      finish(null)
      remember(next)
      toast.warn(translate('conference.page.seatLost', { title: next.title }))
      return
    }
    into.follow(next, seat.value?.id ?? null)
    publishWhenPossible()
  }

  function finish(last: Conference | null): void {
    clearTimeout(again)
    tries = 0
    publishedTo = null
    out.close()
    into.close()
    chosen.value = null
    spoke.value = null
    joining.value = null
    conference.value = null
    if (last) over.value = { conference: last, lasted: (last.ended_at ?? link.now) - last.opened_at }
  }

  function remember(other: Conference): void {
    const mine = session.me ? seatOf(other, session.me) : null
    const rest = waiting.value.filter((one) => one.id !== other.id)
    const mayGoIn = !other.ended_at && session.me && returnable(mine, session.me)
    waiting.value = (mayGoIn ? [...rest, other] : rest).sort((a, b) => b.opened_at - a.opened_at)
  }

  function take(next: Conference): void {
    if (next.id === conference.value?.id || next.id === joining.value) settle(next)
    else remember(next)
  }

  /** Go into a conference in which this person has a seat. Never throws: says what went wrong. */
  async function enter(id: string): Promise<void> {
    if (conference.value && conference.value.id !== id) leave()
    over.value = null
    joining.value = id
    const devices = out.open().then(publishWhenPossible)
    try {
      const known = await hub.conferences.get(id)
      if (joining.value === id) settle(known)
    } catch (error) {
      if (joining.value === id) {
        finish(null)
        toast.fail(error)
      }
    }
    await devices
  }

  /** Whether I left it: then I am not waited for, but may come back. */
  function wasLeft(other: Conference): boolean {
    const mine = session.me ? seatOf(other, session.me) : null
    return mine !== null && !present(mine)
  }

  /** Go into a running conference, taking again the seat that was left. */
  async function comeBack(other: Conference): Promise<void> {
    if (wasLeft(other)) rings.answer(other.id, true)
    await enter(other.id)
  }

  async function answer(id: string): Promise<void> {
    rings.answer(id, true)
    await enter(id)
  }

  /** Open a conference and go in. Throws ApiError. */
  async function start(wanted: NewConference): Promise<Conference> {
    const opened = await hub.conferences.open(wanted)
    await enter(opened.id)
    return opened
  }

  function leave(): void {
    const here = conference.value
    if (!here) return
    link.send({ type: 'conference.leave', conference: here.id })
    finish(null)
  }

  function control(message: (conference: string) => ClientMessage): boolean {
    return conference.value ? send(message(conference.value.id)) : false
  }

  async function retryDevices(): Promise<void> {
    publishedTo = null
    await out.open()
    publishWhenPossible()
  }

  /** What runs and concerns me; after each (re)connect. */
  async function load(): Promise<void> {
    if (!session.can('conference.join')) return
    try {
      const { items } = await hub.conferences.list()
      waiting.value = []
      for (const item of items) take(item)
      const here = conference.value
      if (here && !items.some((item) => item.id === here.id)) await confirmOver(here)
    } catch {
      // the line is just back; the next change brings the state
    }
  }

  async function confirmOver(here: Conference): Promise<void> {
    try {
      settle(await hub.conferences.get(here.id))
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) finish(here)
    }
  }

  watch(into.speaker, (now) => {
    if (now !== null) spoke.value = now
  })
  watch(out.publishing, (now) => {
    if (now.phase === 'live') tries = 0
    if (now.phase !== 'lost' || now.retryAt !== null || tries >= AGAIN_MOST) return
    tries += 1
    clearTimeout(again)
    again = setTimeout(() => {
      publishedTo = null
      publishWhenPossible()
    }, AGAIN)
  })
  watch(
    () => session.me?.id ?? null,
    (id) => {
      if (id !== null) return
      finish(null)
      rings.clear()
      waiting.value = []
      over.value = null
    },
  )
  link.on('conference.state', (message) => { take(message.conference as unknown as Conference) })
  link.on('error', (message) => {
    if (!message.re?.startsWith('conference.') && !message.re?.startsWith('call.')) return
    toast.fail(new ApiError({ id: message.error, message: message.message, status: 409 }))
    if (message.re === 'call.answer' && seat.value && !present(seat.value)) finish(null)
  })
  link.onReady(() => {
    void load().then(sayDevices)
  })
  window.addEventListener('pagehide', () => { finish(null) })

  return {
    conference,
    joining,
    waiting,
    over,
    chosen,
    seat,
    host,
    shownMember,
    out,
    into,
    answer,
    enter,
    comeBack,
    wasLeft,
    start,
    leave,
    retryDevices,
    load,
    end: () => control((id) => ({ type: 'conference.end', conference: id })),
    stage: (camera: string | null) => control((id) => ({ type: 'conference.stage', conference: id, camera })),
    invite: (units: string[]) => control((id) => ({ type: 'conference.invite', conference: id, units })),
  }
})
