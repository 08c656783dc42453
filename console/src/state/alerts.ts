import { defineStore } from 'pinia'
import { computed, ref, shallowRef } from 'vue'
import { translate } from '@/i18n'
import { sound } from '@/ui/sound'
import { cameraOf, ruleOf } from '@/ui/words'
import { hub } from '@/wire/hub'
import type { Off } from '@/wire/emitter'
import type { Alert, AlertState, Incident, Severity } from '@/wire/types'
import { useLink } from './link'
import { useSession } from './session'

const QUEUE = 100 // active alerts held; more are only counted
const SETTLE = 250 // ms: a burst of events is one fetch
const FOLDED = 20_000 // ms: repeats are folded without an event, so the queue is read again

export function newestFirst(items: Iterable<Alert>): Alert[] {
  return [...items].sort((a, b) => b.raised_at - a.raised_at || (a.id < b.id ? 1 : -1))
}

/** The queue of active alerts (for the bar, the wall and the sound) and the list of the alerts page. */
export const useAlerts = defineStore('alerts', () => {
  const link = useLink()
  const session = useSession()
  const queue = shallowRef<Alert[]>([]) // active ones, newest first
  const active = ref(0)
  const loaded = ref(false)
  const problem = ref<unknown>(null)
  const spoken = ref('') // last words for the aria-live region
  const changed = ref(0) // grows with every change that the hub told of
  const allowed = computed(() => session.can('alert.read'))
  let timer: ReturnType<typeof setTimeout> | undefined

  /** Read the queue. Never throws: see `problem`. */
  async function refresh(): Promise<void> {
    if (!allowed.value) return
    try {
      const answer = await hub.alerts.list({ state: 'active', limit: QUEUE })
      const known = new Set(queue.value.map((alert) => alert.id))
      const before = loaded.value
      queue.value = newestFirst(answer.items)
      active.value = answer.active
      loaded.value = true
      problem.value = null
      if (before) announce(queue.value.filter((alert) => !known.has(alert.id)))
    } catch (error) {
      problem.value = error
    }
  }

  /** New alerts are spoken, and sound once, as the gravest of them. */
  function announce(fresh: Alert[]): void {
    const [first] = fresh
    if (!first) return
    const order: Severity[] = ['critical', 'major', 'minor', 'info']
    sound(order.find((severity) => fresh.some((alert) => alert.severity === severity)) ?? 'info')
    spoken.value = translate('alerts.spoken', {
      severity: translate(`severity.${first.severity}`),
      rule: ruleOf(first),
      camera: cameraOf(first),
    })
  }

  /** An alert has a new state: take it over at once, before the hub's event comes. */
  function take(alert: Alert): void {
    const had = queue.value.some((one) => one.id === alert.id)
    const others = queue.value.filter((one) => one.id !== alert.id)
    queue.value = alert.state === 'active' ? newestFirst([...others, alert]) : others
    if (had && alert.state !== 'active') active.value = Math.max(0, active.value - 1)
    changed.value += 1
  }

  function soon(): void {
    if (timer !== undefined) return
    timer = setTimeout(() => {
      timer = undefined
      changed.value += 1
      void refresh()
    }, SETTLE)
  }

  /** Keep the queue fresh until the answer is called. */
  function follow(): Off {
    const offs = [link.onReady(() => void refresh()), link.onEvent(['alert.', 'incident.opened'], soon)]
    const folded = setInterval(() => void refresh(), FOLDED)
    return () => {
      for (const off of offs) off()
      clearInterval(folded)
      clearTimeout(timer)
      timer = undefined
      queue.value = []
      active.value = 0
      loaded.value = false
    }
  }

  /** One page of the long list. Throws ApiError. */
  function page(state: AlertState | undefined, cursor: string | null): ReturnType<typeof hub.alerts.list> {
    return hub.alerts.list(state ? { state, cursor, limit: 50 } : { cursor, limit: 50 })
  }

  const acknowledge = (alert: string) => hub.alerts.acknowledge(alert)
  const dismiss = (alert: string, reason: string) => hub.alerts.dismiss(alert, reason)

  /** Open an incident of an alert, in the same drill run if it belongs to one. Throws ApiError. */
  function openIncident(alert: Alert, title: string): Promise<Incident> {
    return hub.incidents.open({ title, severity: alert.severity, alert: alert.id, camera: alert.camera, run: alert.run })
  }

  return { queue, active, loaded, problem, spoken, changed, refresh, take, follow, page, acknowledge, dismiss, openIncident }
})
