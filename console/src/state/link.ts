import { movePlayers } from '@/media/whep'
import { movePublishers } from '@/media/whip'
import { defineStore } from 'pinia'
import { computed, ref } from 'vue'
import { ApiError } from '@/wire/http'
import { hub } from '@/wire/hub'
import type { Off } from '@/wire/emitter'
import type { ClientMessage, LogEvent } from '@/wire/messages'
import { HubSocket, type LinkState, type SocketEvents } from '@/wire/socket'
import { useSession } from './session'

const SLOW = 400 // ms: above this the link is called slow

/** The live line to the hub: its state, the hub's clock, and who wants which message. */
export const useLink = defineStore('link', () => {
  const session = useSession()
  const socket = new HubSocket()
  const state = ref<LinkState>('off')
  const rtt = ref<number | null>(null)
  const offset = ref(0)
  const now = ref(Date.now())
  const presence = ref<Record<string, number>>({})
  const quality = computed(() => {
    if (state.value !== 'open') return state.value
    return rtt.value !== null && rtt.value > SLOW ? 'slow' : 'open'
  })

  setInterval(() => {
    now.value = Date.now() + offset.value
  }, 500)

  const wasOpen = ref(false)
  /** What is shown was fetched over a line that is down now, whether or not it is being dialled again. */
  const stale = computed(() => wasOpen.value && state.value !== 'open')

  socket.on('state', (to) => {
    state.value = to
    if (to !== 'connecting' && to !== 'waiting') wasOpen.value = to === 'open'
    if (to === 'waiting') {
      rtt.value = null
      void recheck()
    }
  })
  socket.on('rtt', (ms) => {
    rtt.value = Math.round(ms)
  })
  socket.on('clock', (ms) => {
    offset.value = ms
    now.value = Date.now() + ms
  })
  socket.on('presence', (message) => {
    presence.value = message.units
  })
  socket.on('media.move', (message) => {
    movePlayers(message.session, message.reason)
    movePublishers(message.session, message.reason)
  })
  socket.on('bye', (message) => {
    if (message.reason !== 'shutting_down' && message.reason !== 'too_slow') session.end()
  })

  /** A refused handshake looks like a broken line: ask whether we are still signed in. */
  async function recheck(): Promise<void> {
    try {
      await hub.sessions.current()
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) session.end()
    }
  }

  function on<K extends keyof SocketEvents>(name: K, handler: (value: SocketEvents[K]) => void): Off {
    return socket.on(name, handler)
  }

  /** Log events whose kind begins with one of `prefixes` ("alert." …). */
  function onEvent(prefixes: string | string[], handler: (event: LogEvent) => void): Off {
    const list = ([] as string[]).concat(prefixes)
    return socket.on('event', (event) => {
      if (list.some((prefix) => event.kind.startsWith(prefix))) handler(event)
    })
  }

  /** After each (re)connect: fetch again what may have been missed. Runs at once when the line is up. */
  function onReady(handler: () => void): Off {
    if (socket.state === 'open') handler()
    return socket.on('ready', handler)
  }

  function send(message: ClientMessage): boolean {
    return socket.send(message)
  }

  function start(): void {
    socket.start()
  }

  function stop(): void {
    socket.stop()
    rtt.value = null
  }

  return { state, rtt, offset, now, presence, quality, stale, on, onEvent, onReady, send, start, stop }
})
