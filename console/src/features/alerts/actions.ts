// What can be done with an alert, alike from the panel, the page and the large picture.
import { computed, ref } from 'vue'
import { useI18n } from 'vue-i18n'
import { useRoute, useRouter } from 'vue-router'
import { useAlerts } from '@/state/alerts'
import { useConferenceStart } from '@/state/conferenceStart'
import { useSession } from '@/state/session'
import { useWall } from '@/state/wall'
import { askText } from '@/ui/confirm'
import { attempt, toast } from '@/ui/toast'
import { cameraOf, ruleOf } from '@/ui/words'
import { hub } from '@/wire/hub'
import type { Alert } from '@/wire/types'

const busy = ref(new Set<string>()) // alerts with an action under way: a second click does nothing

export function useAlertActions() {
  const { t } = useI18n()
  const route = useRoute()
  const router = useRouter()
  const session = useSession()
  const alerts = useAlerts()
  const wall = useWall()
  const start = useConferenceStart()

  const may = computed(() => ({
    handle: session.can('alert.handle'),
    incident: session.can('incident.handle'),
    file: session.can('incident.read'),
    call: session.can('conference.open'),
    watch: session.can('camera.watch'),
  }))

  function named(alert: Alert): { rule: string; camera: string } {
    return { rule: ruleOf(alert), camera: cameraOf(alert) }
  }

  async function once(alert: Alert, action: () => Promise<void>): Promise<void> {
    if (busy.value.has(alert.id)) return
    busy.value = new Set(busy.value).add(alert.id)
    await attempt(action)
    const rest = new Set(busy.value)
    rest.delete(alert.id)
    busy.value = rest
  }

  function acknowledge(alert: Alert): Promise<void> {
    return once(alert, async () => {
      if (!may.value.handle || alert.state !== 'active') return
      alerts.take(await alerts.acknowledge(alert.id))
      toast.ok(t('alerts.acknowledged', named(alert)))
    })
  }

  function dismiss(alert: Alert): Promise<void> {
    return once(alert, async () => {
      if (!may.value.handle || alert.state !== 'active') return
      const reason = await askText({
        title: t('alerts.dismiss_title'),
        message: t('alerts.dismiss_ask', named(alert)),
        action: t('alerts.dismiss'),
        required: t('alerts.dismiss_missing'),
      })
      if (!reason) return
      alerts.take(await alerts.dismiss(alert.id, reason))
      toast.ok(t('alerts.dismissed', named(alert)))
    })
  }

  async function drillRuns(): Promise<boolean> {
    if (!session.can('drill.read')) return false
    try {
      return (await hub.drills.runs()).items.some((run) => run.state === 'running')
    } catch {
      return false // drills are away: a real matter must not wait for them
    }
  }

  function incident(alert: Alert): Promise<void> {
    return once(alert, async () => {
      if (alert.incident) {
        if (may.value.file) await router.push({ name: 'incident', params: { id: alert.incident } })
        return
      }
      if (!may.value.incident) return
      if (await drillRuns()) {
        await router.push({ name: 'incidents', query: { alert: alert.id } }) // a person says whether it is part of it
        return
      }
      const opened = await alerts.openIncident(alert, t('alerts.incident_title', named(alert)).slice(0, 80))
      alerts.take({ ...alert, incident: opened.id })
      toast.ok(t('alerts.incident_opened'))
      await router.push({ name: 'incident', params: { id: opened.id } })
    })
  }

  function call(alert: Alert): void {
    if (may.value.call) start.open({ alert, camera: { id: alert.camera, name: cameraOf(alert) } })
  }

  function view(alert: Alert): void {
    if (!may.value.watch) return
    wall.show(alert.camera)
    if (route.name !== 'wall') void router.push({ name: 'wall' })
  }

  return { may, busy, acknowledge, dismiss, incident, call, view }
}
