import { defineStore } from 'pinia'
import { computed, ref } from 'vue'
import { translate } from '@/i18n'
import { useLink } from '@/state/link'
import { toast } from '@/ui/toast'
import type { MessageOf, RingMessage } from '@/wire/messages'

const GRACE = 3_000 // ms after the limit until a ring is taken for over though nobody said so
const MOST = 8

/** The calls that ring at this terminal, the oldest first. */
export const useRings = defineStore('rings', () => {
  const link = useLink()
  const items = ref<RingMessage[]>([])
  const current = computed(() => items.value[0] ?? null)
  const told = new Set<string>() // conferences to which `call.ringing` was sent on this line
  const pending = new Map<string, boolean>() // answers that wait for the line to come back

  function add(ring: RingMessage): void {
    if (pending.has(ring.conference)) return
    const others = items.value.filter((one) => one.conference !== ring.conference)
    items.value = [...others, ring].slice(0, MOST)
  }

  function drop(conference: string): RingMessage | null {
    const ring = items.value.find((one) => one.conference === conference) ?? null
    items.value = items.value.filter((one) => one.conference !== conference)
    told.delete(conference)
    return ring
  }

  /** The overlay shows this ring: tell the hub that the terminal rings. */
  function shown(conference: string): void {
    if (!told.has(conference) && link.send({ type: 'call.ringing', conference })) told.add(conference)
  }

  /** Answer or decline; sent as soon as the line is up. */
  function answer(conference: string, accept: boolean): void {
    drop(conference)
    if (!link.send({ type: 'call.answer', conference, accept })) pending.set(conference, accept)
  }

  function over(message: MessageOf<'ring.ended'>): void {
    pending.delete(message.conference)
    const ring = drop(message.conference)
    if (!ring || message.reason === 'answered' || message.reason === 'declined') return
    toast.info(translate(`conference.ring.ended.${message.reason}`, { title: ring.title }))
  }

  function resend(): void {
    told.clear()
    for (const [conference, accept] of pending) link.send({ type: 'call.answer', conference, accept })
    pending.clear()
    for (const ring of items.value) shown(ring.conference)
  }

  /** Forget rings whose limit is well past: the message that ended them was lost. */
  function expire(now: number): void {
    for (const ring of items.value) if (now > ring.until + GRACE) drop(ring.conference)
  }

  function clear(): void {
    items.value = []
    told.clear()
    pending.clear()
  }

  link.on('ring', add)
  link.on('ring.ended', over)
  link.on('ready', resend)
  return { items, current, shown, answer, expire, clear }
})
